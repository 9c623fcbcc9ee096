// C API: errors, context, devices.
#include <new>

#include "qpi/native/capi.h"

using namespace qfw::qpi;

namespace qfw::qpi::capi {
namespace {

std::string& last_error() {
  thread_local std::string text;
  return text;
}

}  // namespace

int fail(int error, const std::string& message) noexcept {
  try {
    last_error() = message;
  } catch (const std::bad_alloc&) {  // the number alone must do
  }
  return error;
}

int fail(const qpm::Failure& failure) noexcept { return fail(code_of(failure.code), failure.message); }

}  // namespace qfw::qpi::capi

using namespace qfw::qpi::capi;

#define QFW_SAME(c, cpp) static_assert(QPI_##c == -static_cast<int>(qfw::ErrorCode::cpp))
QFW_SAME(SUCCESS, kOk);
QFW_SAME(EINVAL, kInvalidArgument);
QFW_SAME(EPROGRAM, kInvalidProgram);
QFW_SAME(EPARSE, kParse);
QFW_SAME(EGATE, kUnknownGate);
QFW_SAME(EUNSUPPORTED, kUnsupported);
QFW_SAME(ENOTFOUND, kNotFound);
QFW_SAME(ERESOURCE, kResourceExhausted);
QFW_SAME(ELIMIT, kLimitExceeded);
QFW_SAME(EDEADLINE, kDeadlineExceeded);
QFW_SAME(ECANCELLED, kCancelled);
QFW_SAME(EDEVICE, kDevice);
QFW_SAME(EDEVICELOST, kDeviceLost);
QFW_SAME(ECONNECTIONLOST, kConnectionLost);
QFW_SAME(EUNAVAILABLE, kUnavailable);
QFW_SAME(EPERM, kPermissionDenied);
QFW_SAME(EPROTOCOL, kProtocol);
QFW_SAME(EINTERNAL, kInternal);
QFW_SAME(ETIMEOUT, kTimeout);
QFW_SAME(ECLOSED, kClosed);
#undef QFW_SAME

extern "C" {

const char* qpi_strerror(int error) {
  switch (error) {
    case QPI_EAGAIN:
      return "nothing to read";
    case QPI_EAVAIL:
      return "the next entry is an error, read it with qpi_cq_readerr";
    case QPI_SUCCESS:
      return "success";
    default:
      return error < 0 ? qfw::error_name(static_cast<qfw::ErrorCode>(-static_cast<int64_t>(error))) : "unknown";
  }
}

const char* qpi_last_error(void) { return last_error().c_str(); }

const char* qpi_version(void) { return QFW_VERSION; }

int qpi_connect(const qpi_context_attr* attr, qpi_context** context) {
  return guard([&] {
    need(context, "context") = nullptr;
    const auto a = read(attr, qpi_context_attr QPI_CONTEXT_ATTR_INIT, "qpi_context_attr");
    const double timeout_s = a.timeout_ms < 0 ? 1e9 : a.timeout_ms * 1e-3;
    const auto reconnect_s = a.reconnect_ms < 0 ? std::nullopt : std::optional(a.reconnect_ms * 1e-3);
    *context = new qpi_context{Context::connect(text(a.endpoint), {timeout_s, reconnect_s})};
    return 0;
  });
}

const char* qpi_context_endpoint(const qpi_context* context) {
  return context ? context->context->endpoint().c_str() : "";
}

uint32_t qpi_context_window(const qpi_context* context) { return context ? context->context->window() : 0; }

int qpi_context_cancel(qpi_context* context) {
  return guard([&] {
    need(context, "context").context->cancel();
    return 0;
  });
}

void qpi_context_close(qpi_context* context) {
  if (!context) return;
  guard([&] {
    context->context->close();
    return 0;
  });
  delete context;
}

}  // extern "C"
