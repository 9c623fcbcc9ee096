#include "qpm/native/method.h"
#include "qpm/native/runtime.h"

namespace qfw::qpm {

// method="auto" on the built-in simulator: the task may go to another device of this runtime. False: none of the
// stream's devices is the built-in one.
bool Runtime::admit_auto(Job& job, const std::vector<DeviceId>& devices) {
  if (job.doom) return true;  // refused already, while the runtime drains or is full
  Offers offers;
  for (DeviceId id : devices)
    if (!offers.dense && device(id).info().provider == "statevec") offers.dense = &device(id).info();
  if (!offers.dense) return false;
  std::vector<DeviceInfo> infos = this->devices();
  DeviceId asked = 0;
  for (const DeviceInfo& info : infos) {
    if (info.name == offers.dense->name) asked = info.id;
    if (info.status == DeviceStatus::kOnline || info.status == DeviceStatus::kBusy) offers.others.push_back(&info);
  }
  offers.dense = &infos[asked];
  try {
    device(asked).check(job.work);
    offers.dense_ns = device(asked).estimate_ns(job.work);
  } catch (const Error& e) {
    offers.refusal = Failure::of(e);
  }
  const bool too_large =
      offers.refusal.code == ErrorCode::kLimitExceeded || offers.refusal.code == ErrorCode::kResourceExhausted;
  if (offers.refusal && !too_large) {
    job.doom = offers.refusal;
    return true;
  }
  Choice choice = choose_method(job.work, offers);
  job.doom = choice.refusal;
  job.devices = {choice.device};
  job.work.options = std::move(choice.options);
  job.method = std::move(choice.method);
  job.method_reason = std::move(choice.reason);
  if (!job.doom) job.cost_ns = device(choice.device).estimate_ns(job.work);
  return true;
}

}  // namespace qfw::qpm
