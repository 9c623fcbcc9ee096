#include "qpm/api/native/session.h"

namespace qfw::qpm {
namespace {

[[noreturn]] void unsupported(const std::string& endpoint, const char* what) {
  throw Error(ErrorCode::kUnsupported, std::string(what) + " not offered by the runtime at " + endpoint);
}

}  // namespace

JobInfo Session::attach_job(StreamId, const std::string&) { unsupported(endpoint(), "jobs are"); }
std::vector<JobInfo> Session::jobs(std::span<const std::string>) { unsupported(endpoint(), "jobs are"); }
void Session::forget_job(const std::string&) { unsupported(endpoint(), "jobs are"); }
void Session::subscribe(std::span<const DeviceId>, uint32_t kinds, EventSink) {
  if (kinds != 0) unsupported(endpoint(), "events are");
}

}  // namespace qfw::qpm
