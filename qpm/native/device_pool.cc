#include "qpm/native/device_pool.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "simenv/native/simulator.h"

namespace qfw::qpm {
namespace {

constexpr uint32_t kAtOnce = 64;        // tasks given to an instance, whatever it takes as one batch
constexpr uint32_t kMostAtOnce = 4096;  // the window of a session

// Each rank holds its part of the state, pieces on their way to others, and a library for messages.
constexpr double kRanksOverhead = 1.25;

DeviceInfo of_pool(DeviceInfo info, size_t members, const RanksRule& ranks) {
  const uint64_t each = std::clamp(info.capacity, kAtOnce, kMostAtOnce);
  info.capacity = static_cast<uint32_t>(std::min<uint64_t>(each * std::max<size_t>(members, 1), 2 * kMostAtOnce));
  info.max_ranks = std::max(info.max_ranks, ranks.max_ranks);
  return info;
}

Pool::Policy policy_of(const DeviceInfo& info, Pool::Policy policy) {
  policy.capacity = std::clamp(info.capacity, kAtOnce, kMostAtOnce);
  return policy;
}

std::string bytes(double n) { return std::to_string(static_cast<uint64_t>(std::min(n, 1.8e19))) + " bytes"; }

}  // namespace

uint32_t RanksRule::ranks_for(const std::string& device, const Task& task) const {
  if (max_ranks <= 1 && node_bytes == 0) return 1;
  if (task.ranks > 1 && max_ranks > 1 && !std::has_single_bit(task.ranks))
    throw Error(ErrorCode::kUnsupported, "ranks " + std::to_string(task.ranks) +
                                             "; a power of two is needed, at most " + std::to_string(max_ranks) +
                                             " (device '" + device + "')");
  const double whole = needed ? static_cast<double>(needed(task)) : 0.0;
  const auto fits = [&](uint32_t ranks) {
    const uint64_t limit = ranks == 1 ? node_bytes : rank_bytes;
    return limit == 0 || whole * (ranks == 1 ? 1.0 : kRanksOverhead / ranks) <= static_cast<double>(limit);
  };
  const uint32_t last = task.ranks ? task.ranks : std::max(1u, max_ranks);
  for (uint64_t ranks = std::max(1u, task.ranks); ranks <= last; ranks *= 2)
    if (fits(static_cast<uint32_t>(ranks))) return max_ranks > 1 ? static_cast<uint32_t>(ranks) : 1;
  const uint32_t most = std::bit_floor(last);
  const double there = most == 1 ? static_cast<double>(node_bytes) : static_cast<double>(rank_bytes) * most;
  throw Error(ErrorCode::kResourceExhausted,
              std::to_string(task.program->num_qubits()) + " qubits need " + bytes(whole) +
                  (most == 1 ? "" : ", and a quarter more on several ranks") + "; " + std::to_string(most) +
                  (most == 1 ? " rank has " : " ranks have ") + bytes(there) + " (device '" + device + "')");
}

uint32_t RanksRule::max_qubits(uint32_t limit) const {
  if (node_bytes == 0) return limit;
  double most = static_cast<double>(node_bytes);
  if (max_ranks > 1)
    most = std::max(most, static_cast<double>(rank_bytes) * std::bit_floor(max_ranks) / kRanksOverhead);
  return std::min(limit, static_cast<uint32_t>(std::max(0.0, std::floor(std::log2(most / 16.0)))));
}

PoolDevice::PoolDevice(DeviceInfo info, std::vector<std::unique_ptr<PoolMember>> members, Options options)
    : DescribedDevice(of_pool(info, members.size(), options.ranks)),
      options_(std::move(options)),
      members_(std::move(members)),
      pool_(info.name, static_cast<uint32_t>(members_.size()), policy_of(info, options_.policy)) {
  for (MemberId id = 0; id < members_.size(); ++id) members_[id]->attach(this, id);
}

PoolDevice::~PoolDevice() { stop(); }

// ---- what the runtime asks

void PoolDevice::check(const Task& task) const {
  const uint32_t qubits = task.program->num_qubits();
  if (qubits > info().max_qubits && qubits <= simenv::kMaxSimulatedQubits)
    options_.ranks.ranks_for(info().name, task);  // says the bytes, where memory is what limits it
  DescribedDevice::check(task);
  if (options_.check) options_.check(task);
  options_.ranks.ranks_for(info().name, task);
}

double PoolDevice::estimate_ns(const Task& task) const noexcept {
  return options_.estimate_ns ? options_.estimate_ns(task) : DescribedDevice::estimate_ns(task);
}

uint32_t PoolDevice::instances() const {
  std::lock_guard lock(mutex_);
  return pool_.up();
}

Pool::Stats PoolDevice::stats() const {
  std::lock_guard lock(mutex_);
  return pool_.stats();
}

void PoolDevice::attach(Host* host, DeviceId id) {
  DescribedDevice::attach(host, id);
  clock_ = std::thread([this] { keep_time(); });
}

void PoolDevice::submit(JobPtr job, uint64_t now) {
  const Task& task = job->work;
  uint32_t ranks = 1;
  try {
    ranks = options_.ranks.ranks_for(info().name, task);
  } catch (const Error&) {  // refused before, by check()
  }
  const uint32_t rows = task.bindings.rows;
  const double row_ns = pool_.estimate(job->cost_ns) / std::max(1u, rows);
  const uint32_t each = info().split_rows ? rows_of_part(rows, row_ns, static_cast<uint32_t>(members_.size())) : rows;
  if (each >= rows) {
    const PoolKey key = key_of(job);
    pool_.submit(key, ranks, job->cost_ns, now);
    entries_.emplace(key, Entry{std::move(job), nullptr});
    return;
  }
  const auto sweep = std::make_shared<Sweep>(std::move(job), each);
  sweeps_.emplace(key_of(sweep->whole()), sweep);
  for (const JobPtr& part : sweep->parts()) {
    pool_.submit(key_of(part), ranks, part->cost_ns, now);
    entries_.emplace(key_of(part), Entry{part, sweep});
  }
}

void PoolDevice::start(std::vector<JobPtr>&& jobs) {
  std::vector<Finished> done;
  Pool::Actions actions;
  {
    std::lock_guard lock(mutex_);
    const uint64_t now = now_ns();
    for (auto& job : jobs) {
      if (stopping_ || job->stop.requested())  // a cancel may have come before its job
        done.push_back(DescribedDevice::failed(std::move(job), cancelled()));
      else
        submit(std::move(job), now);
    }
    decide(actions, done);
  }
  perform(std::move(actions), std::move(done));
}

void PoolDevice::cancel(const JobPtr& job) {
  step([&](uint64_t, Pool::Actions& out) {
    const auto found = sweeps_.find(key_of(job));
    if (found == sweeps_.end()) return pool_.cancel(key_of(job), out);
    for (const JobPtr& part : found->second->parts()) {
      part->stop.request();
      pool_.cancel(key_of(part), out);
    }
  });
}

void PoolDevice::slots_freed() {
  step([this](uint64_t, Pool::Actions&) { pool_.freed(); });
}

uint32_t PoolDevice::yield_idle(uint32_t ranks) {
  uint32_t given = 0;
  step([&](uint64_t now, Pool::Actions& out) { given = pool_.yield(ranks, now, out); });
  return given;
}

void PoolDevice::lost(const std::string& address) {
  for (const auto& member : members_) member->lost(address);
}

void PoolDevice::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    clock_wake_.notify_one();
  }
  step([this](uint64_t, Pool::Actions& out) { pool_.stop(out); });
  const auto join = [this] {
    if (clock_.joinable()) clock_.join();
  };
  options_.away ? options_.away(join) : join();
  for (const auto& member : members_) member->stop();
  std::vector<Finished> done;  // what was on its way to a member
  {
    std::lock_guard lock(mutex_);
    Pool::Actions none;
    while (!entries_.empty()) drop(entries_.begin()->first, cancelled(), done, none);
  }
  if (!done.empty()) host_->finished(std::move(done));
}

// ---- what members say

void PoolDevice::up(MemberId member) {
  step([=, this](uint64_t now, Pool::Actions&) { pool_.up(member, now); });
}

void PoolDevice::refused(MemberId member, const Failure& failure) {
  step([&](uint64_t now, Pool::Actions& out) { pool_.refused(member, failure, now, out); });
}

void PoolDevice::failed(MemberId member, const Failure& failure) {
  Failure words = failure;
  if (words.code != ErrorCode::kDeviceLost) words.code = ErrorCode::kDevice;
  step([&](uint64_t now, Pool::Actions& out) { pool_.failed(member, words, now, out); });
}

void PoolDevice::died(MemberId member, const std::vector<JobPtr>& inside, const std::string& words) {
  std::vector<PoolKey> keys;
  for (const auto& job : inside) keys.push_back(key_of(job));
  step([&](uint64_t now, Pool::Actions& out) { pool_.died(member, keys, words, now, out); });
}

void PoolDevice::down(MemberId member) {
  step([=, this](uint64_t now, Pool::Actions& out) { pool_.down(member, now, out); });
}

void PoolDevice::told(Event&& event) { host_->emit(id_, std::move(event)); }

void PoolDevice::returned(MemberId member, std::vector<Finished>&& jobs) {
  std::vector<Finished> done;
  Pool::Actions actions;
  {
    std::lock_guard lock(mutex_);
    const uint64_t now = now_ns();
    for (auto& finished : jobs)
      if (pool_.completed(member, key_of(finished.job))) settle(std::move(finished), done, actions);
    pool_.progressed(member, now);
    decide(actions, done);
  }
  perform(std::move(actions), std::move(done));
}

// ---- carrying out

void PoolDevice::decide(Pool::Actions& actions, std::vector<Finished>& done) {
  const uint64_t now = now_ns();
  pool_.decide(now, actions);
  for (auto& [key, failure] : std::exchange(actions.fail, {})) drop(key, failure, done, actions);
  if (pool_.next_wakeup(now) < wakeup_) clock_wake_.notify_one();
}

void PoolDevice::step(const Happening& event) {
  std::vector<Finished> done;
  Pool::Actions actions;
  {
    std::lock_guard lock(mutex_);
    event(now_ns(), actions);
    decide(actions, done);
  }
  perform(std::move(actions), std::move(done));
}

// A job that is done. A part of a sweep is one step towards its whole; one that failed altogether ends the others.
void PoolDevice::settle(Finished&& finished, std::vector<Finished>& done, Pool::Actions& out) {
  const auto node = entries_.extract(key_of(finished.job));
  if (!node) return;
  const auto sweep = node.mapped().sweep;
  if (!sweep) return done.push_back(std::move(finished));
  bool stop = false;
  const bool last = sweep->returned(finished.job, std::move(finished.result), stop);
  if (last) {
    sweeps_.erase(key_of(sweep->whole()));
    done.push_back({sweep->whole(), sweep->result()});
  } else if (stop) {
    for (const JobPtr& part : sweep->parts()) {
      part->stop.request();
      pool_.cancel(key_of(part), out);
    }
    for (auto& [key, failure] : std::exchange(out.fail, {})) drop(key, failure, done, out);
  }
}

void PoolDevice::drop(PoolKey key, const Failure& failure, std::vector<Finished>& done, Pool::Actions& out) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) settle(DescribedDevice::failed(found->second.job, failure), done, out);
}

void PoolDevice::perform(Pool::Actions&& actions, std::vector<Finished>&& done) {
  for (const auto& w : actions.wake) members_[w.member]->wake(w.life, w.ranks);
  std::vector<std::pair<Pool::Actions::At, std::vector<JobPtr>>> batches;
  std::vector<std::pair<Pool::Actions::At, JobPtr>> cancels;
  if (!actions.run.empty() || !actions.cancel.empty()) {
    std::lock_guard lock(mutex_);
    for (const auto& r : actions.run) {
      const auto found = entries_.find(r.key);
      if (found == entries_.end()) continue;
      auto at = std::find_if(batches.begin(), batches.end(), [&](const auto& b) { return b.first.member == r.member; });
      if (at == batches.end()) at = batches.insert(at, {r, {}});
      at->second.push_back(found->second.job);
    }
    for (const auto& c : actions.cancel)
      if (const auto found = entries_.find(c.key); found != entries_.end()) cancels.emplace_back(c, found->second.job);
  }
  for (auto& [at, jobs] : batches) members_[at.member]->run(at.life, std::move(jobs));
  for (auto& [at, job] : cancels) members_[at.member]->cancel(at.life, job);
  for (const auto& l : actions.lower) members_[l.member]->lower(l.life);
  if (!done.empty()) host_->finished(std::move(done));
  if (actions.status)
    host_->set_status(id_, actions.fault ? DeviceStatus::kFault : DeviceStatus::kOnline, actions.reason);
  if (actions.freed) host_->slots_freed();
}

void PoolDevice::keep_time() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    Pool::Actions actions;
    std::vector<Finished> done;
    decide(actions, done);
    lock.unlock();
    perform(std::move(actions), std::move(done));
    lock.lock();
    if (stopping_) return;
    wakeup_ = pool_.next_wakeup(now_ns());
    if (wakeup_ == UINT64_MAX)
      clock_wake_.wait(lock);
    else
      clock_wake_.wait_until(lock, deadline_point(wakeup_));
  }
}

}  // namespace qfw::qpm
