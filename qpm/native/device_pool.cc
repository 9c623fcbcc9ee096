#include "qpm/native/device_pool.h"

#include <algorithm>
#include <utility>

namespace qfw::qpm {
namespace {

constexpr size_t kEnough = 4;  // tasks of each member in use before another one is woken

}  // namespace

PoolDevice::PoolDevice(DeviceInfo info, std::vector<std::unique_ptr<Device>> members)
    : DescribedDevice(std::move(info)) {
  for (auto& device : members) {
    device->attach(this, static_cast<DeviceId>(members_.size()));
    members_.push_back({std::move(device)});
  }
}

// The least loaded member: of those in use while one of them has little to do, else of all. Members in fault come last.
size_t PoolDevice::choose() const {
  const auto before = [](const Member& a, const Member& b) {
    return std::pair(a.fault, a.load) < std::pair(b.fault, b.load);
  };
  const Member* best = nullptr;
  for (const Member& m : members_)
    if (m.used && (!best || before(m, *best))) best = &m;
  if (!best || best->fault || best->load >= kEnough)
    for (const Member& m : members_)
      if (!best || before(m, *best)) best = &m;
  return static_cast<size_t>(best - members_.data());
}

void PoolDevice::start(std::vector<JobPtr>&& jobs) {
  std::vector<std::vector<JobPtr>> shares(members_.size());
  {
    std::lock_guard lock(mutex_);
    for (auto& job : jobs) {
      const size_t place = choose();
      members_[place].used = true;
      ++members_[place].load;
      places_.emplace(job.get(), place);
      shares[place].push_back(std::move(job));
    }
  }
  for (size_t i = 0; i < shares.size(); ++i)
    if (!shares[i].empty()) members_[i].device->start(std::move(shares[i]));
}

void PoolDevice::cancel(const JobPtr& job) {
  size_t place;
  {
    std::lock_guard lock(mutex_);
    const auto found = places_.find(job.get());
    if (found == places_.end()) return;
    place = found->second;
  }
  members_[place].device->cancel(job);
}

void PoolDevice::stop() {
  for (auto& m : members_) m.device->stop();
}

void PoolDevice::finished(std::vector<Finished>&& jobs) {
  {
    std::lock_guard lock(mutex_);
    for (const auto& f : jobs)
      if (const auto node = places_.extract(f.job.get())) --members_[node.mapped()].load;
  }
  host_->finished(std::move(jobs));
}

void PoolDevice::emit(DeviceId, Event&& event) { host_->emit(id_, std::move(event)); }

// The pool is in fault when all members in use are: the others would be no better.
void PoolDevice::set_status(DeviceId member, DeviceStatus status, const std::string& reason) {
  bool fault;
  {
    std::lock_guard lock(mutex_);
    members_[member].fault = status == DeviceStatus::kFault;
    fault = std::none_of(members_.begin(), members_.end(), [](const Member& m) { return m.used && !m.fault; });
    if (std::exchange(fault_, fault) == fault) return;
  }
  host_->set_status(id_, fault ? DeviceStatus::kFault : DeviceStatus::kOnline, fault ? reason : "");
}

}  // namespace qfw::qpm
