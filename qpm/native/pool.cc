#include "qpm/native/pool.h"

#include <algorithm>
#include <cmath>

namespace qfw::qpm {
namespace {

constexpr uint64_t kAskAgain = 1000 * Pool::kMs;  // for slots, at least so often: who does not ask is forgotten
constexpr double kFaster = 0.7, kSlower = 0.3;    // weight of a new measurement: a first batch imports packages

Failure cancelled() { return {ErrorCode::kCancelled, "the task was cancelled"}; }

}  // namespace

Pool::Pool(std::string name, uint32_t members, Policy policy)
    : name_(std::move(name)), policy_(policy), members_(members) {
  stats_.members = members;
  groups_[1];
}

// ---- tasks

void Pool::submit(PoolKey key, uint32_t ranks, double cost_ns, uint64_t now) {
  Task& t = tasks_[key];
  t.ranks = std::max(1u, ranks);
  t.cost = std::max(1.0, cost_ns);
  t.since = now;
  enqueue(key, t, false);
}

void Pool::enqueue(PoolKey key, Task& t, bool first) {
  Group& group = groups_[t.ranks];
  auto& list = t.deaths ? group.suspects : group.waiting;
  t.place = list.insert(first ? list.begin() : list.end(), key);
  group.cost += t.cost;
}

PoolKey Pool::dequeue(Group& group, std::list<PoolKey>& list) {
  const PoolKey key = list.front();
  list.pop_front();
  group.cost = group.empty() ? 0.0 : group.cost - tasks_.at(key).cost;
  return key;
}

void Pool::end(PoolKey key, Failure failure, Actions& out) {
  tasks_.erase(key);
  out.fail.emplace_back(key, std::move(failure));
}

void Pool::end_waiting(Group& group, const Failure& failure, Actions& out) {
  for (auto* list : {&group.suspects, &group.waiting})
    for (PoolKey key : std::exchange(*list, {})) end(key, failure, out);
  group.cost = 0;
}

void Pool::cancel(PoolKey key, Actions& out) {
  const auto found = tasks_.find(key);
  if (found == tasks_.end()) return;
  Task& t = found->second;
  if (t.running) {
    t.unwanted = true;
    out.cancel.push_back({{t.member, members_[t.member].life}, key});
    return;
  }
  Group& group = groups_[t.ranks];
  (t.deaths ? group.suspects : group.waiting).erase(t.place);
  group.cost = group.empty() ? 0.0 : group.cost - t.cost;
  end(key, cancelled(), out);
}

// One that was lost waits again, before those that came after it.
void Pool::requeue(PoolKey key, Task& t, bool suspect, uint64_t now) {
  t.running = false;
  t.since = now;
  if (suspect) ++t.deaths;
  enqueue(key, t, !suspect);
  ++stats_.redispatched;
}

bool Pool::completed(MemberId member, PoolKey key) {
  const auto found = tasks_.find(key);
  Member& m = members_.at(member);
  if (found == tasks_.end() || m.running.erase(key) == 0) return false;
  m.cost = m.running.empty() ? 0.0 : std::max(0.0, m.cost - found->second.cost);
  m.done += found->second.cost;
  tasks_.erase(found);
  died_fast_ = starts_failed_ = 0;
  m.served = true;
  return true;
}

// What came back since the last time took that long: the estimates are corrected by it.
void Pool::progressed(MemberId member, uint64_t now) {
  Member& m = members_.at(member);
  if (m.done > 0 && now > m.busy_since) {
    const double seen = static_cast<double>(now - m.busy_since) / m.done;
    const double weight = seen < ratio_ ? kFaster : kSlower;
    ratio_ = measured_ ? weight * seen + (1.0 - weight) * ratio_ : seen;
    measured_ = true;
  }
  m.done = 0;
  m.busy_since = now;
  if (!m.running.empty()) return;
  m.alone = false;
  m.idle_since = now;
}

// ---- members

void Pool::up(MemberId member, uint64_t now) {
  Member& m = members_.at(member);
  m.state = State::kUp;
  m.born = m.idle_since = now;
  --stats_.starting;
  ++stats_.up;
  starts_failed_ = 0;
  Group& group = groups_[m.ranks];
  group.refused = false;
  group.delay = group.next_try = 0;
}

// The seat is free again.
void Pool::unseat(Member& m, uint64_t now, Actions& out) {
  --(m.state == State::kStarting ? stats_.starting : stats_.up);
  m.state = State::kDown;
  m.alone = m.leaving = m.served = false;
  m.cost = m.done = 0;
  m.idle_since = now;
  out.freed = true;
}

void Pool::refused(MemberId member, const Failure& failure, uint64_t now, Actions& out) {
  Member& m = members_.at(member);
  Group& group = groups_[m.ranks];
  const uint32_t ranks = m.ranks;
  unseat(m, now, out);
  out.freed = false;
  group.refused = true;
  group.delay = std::clamp(group.delay * 2, policy_.retry_min, std::min(policy_.retry_max, kAskAgain));
  group.next_try = now + group.delay;
  if (!failure.transient) return end_waiting(group, failure, out);
  give_up(ranks, ranks, now, out);  // instances of other sizes may sit on the slots
}

void Pool::failed(MemberId member, const Failure& failure, uint64_t now, Actions& out) {
  unseat(members_.at(member), now, out);
  ++stats_.deaths;
  count_failure(true, failure, now, out);
}

void Pool::died(MemberId member, const std::vector<PoolKey>& delivered, const std::string& words, uint64_t now,
                Actions& out) {
  Member& m = members_.at(member);
  const bool fast = now - m.born < policy_.fast && !m.served;
  const bool wanted = m.state == State::kUp;
  const auto lost = std::exchange(m.running, {});
  unseat(m, now, out);
  if (!wanted) return;  // it was being stopped
  ++stats_.deaths;
  const std::unordered_set<PoolKey> inside(delivered.begin(), delivered.end());
  const Failure failure{ErrorCode::kDeviceLost, words, true, 0.5};
  for (PoolKey key : lost) {
    Task& t = tasks_.at(key);
    if (t.unwanted) {
      end(key, cancelled(), out);
    } else if (!inside.count(key)) {
      requeue(key, t, false, now);
    } else if (t.deaths + 1 >= policy_.deaths) {
      Failure found = failure;
      found.message += "; " + std::to_string(policy_.deaths) + " instances died while this task ran in them";
      found.transient = false;
      end(key, std::move(found), out);
    } else {
      requeue(key, t, true, now);
    }
  }
  if (fast) count_failure(false, failure, now, out);
}

// Failures in a row make starts rarer, and in the end put the device in fault.
void Pool::count_failure(bool start, const Failure& failure, uint64_t now, Actions& out) {
  if (now > next_start_ + policy_.rest) start_delay_ = 0;
  start_delay_ = std::clamp(start_delay_ * 2, policy_.retry_min, policy_.retry_max);
  next_start_ = now + start_delay_;
  // One that dies while it starts may have been killed, as any other; one that says why it cannot will say it again.
  const bool refused = start && failure.code != ErrorCode::kDeviceLost;
  ++(refused ? starts_failed_ : died_fast_);
  if (starts_failed_ < policy_.failed_starts && died_fast_ < policy_.fast_deaths) return;
  if (stats_.up > 0) return;
  Failure ends = failure;
  if (start) ends.message = "device '" + name_ + "' could not be started: " + failure.message;
  for (auto& [ranks, group] : groups_) end_waiting(group, ends, out);
  const uint32_t times = refused ? starts_failed_ : died_fast_;
  fault_ = out.status = out.fault = true;
  out.reason = ends.message + "; " + std::to_string(times) + " times in a row, next try in " +
               std::to_string(policy_.rest / (1000 * kMs)) + " s";
  rest_until_ = next_start_ = now + policy_.rest;
  starts_failed_ = died_fast_ = 0;
}

void Pool::down(MemberId member, uint64_t now, Actions& out) { unseat(members_.at(member), now, out); }

void Pool::freed() {
  for (auto& [ranks, group] : groups_) group.next_try = group.delay = 0;
}

void Pool::stop(Actions& out) {
  stopped_ = true;
  for (auto& [ranks, group] : groups_) end_waiting(group, cancelled(), out);
}

// ---- who runs what

Pool::Load Pool::load(uint32_t ranks) const {
  Load l;
  for (const Member& m : members_) {
    if (m.ranks != ranks) continue;
    if (m.state == State::kStarting) ++l.starting;
    if (m.state != State::kUp || m.leaving) continue;
    ++l.up;
    l.cost += m.cost;
    l.running += m.running.size();
  }
  return l;
}

// Half of what it may have is done: time for a new batch.
bool Pool::hungry(const Member& m) const {
  if (m.running.empty()) return true;
  return measured_ && m.running.size() * 2 <= policy_.capacity &&
         estimate(m.cost) * 2 <= static_cast<double>(policy_.ahead);
}

bool Pool::room(const Member& m) const {
  if (m.running.empty()) return true;
  return measured_ && m.running.size() < policy_.capacity && estimate(m.cost) < static_cast<double>(policy_.ahead);
}

void Pool::run(Member& m, PoolKey key, uint64_t now, Actions& out) {
  Task& t = tasks_.at(key);
  t.running = true;
  t.member = id_of(m);
  if (m.running.empty()) m.busy_since = now;
  m.running.insert(key);
  m.cost += t.cost;
  out.run.push_back({{t.member, m.life}, key});
}

// Suspects run alone. While some wait, one member gets nothing else until it is idle.
void Pool::feed_suspects(uint32_t ranks, Group& group, uint64_t now, Actions& out) {
  for (Member& m : members_) {
    if (group.suspects.empty()) return;
    if (m.state != State::kUp || m.ranks != ranks || m.leaving || !m.running.empty()) continue;
    m.alone = true;
    run(m, dequeue(group, group.suspects), now, out);
  }
  Member* least = nullptr;
  for (Member& m : members_) {
    if (m.state != State::kUp || m.ranks != ranks || m.leaving) continue;
    if (m.alone) return;  // one is reserved
    if (!least || m.running.size() < least->running.size()) least = &m;
  }
  if (least && !group.suspects.empty()) least->alone = true;
}

// Batches for those that have done half of theirs, spread evenly.
void Pool::feed(uint32_t ranks, Group& group, uint64_t now, Actions& out) {
  feed_suspects(ranks, group, now, out);
  std::vector<Member*> takers;
  for (Member& m : members_)
    if (m.state == State::kUp && m.ranks == ranks && !m.leaving && !m.alone && hungry(m)) takers.push_back(&m);
  while (!group.waiting.empty() && !takers.empty()) {
    const auto least = std::min_element(takers.begin(), takers.end(),
                                        [](const Member* a, const Member* b) { return a->cost < b->cost; });
    if (!room(**least)) return;
    run(**least, dequeue(group, group.waiting), now, out);
    std::erase_if(takers, [this](const Member* m) { return !room(*m); });
  }
}

// ---- how many are up

uint64_t Pool::oldest(const Group& group) const {
  uint64_t since = UINT64_MAX;
  for (const auto* list : {&group.suspects, &group.waiting})
    if (!list->empty()) since = std::min(since, tasks_.at(list->front()).since);
  return since;
}

// Instances that a group should have for what there is.
uint32_t Pool::wanted(uint32_t ranks, const Group& group, const Load& l, uint64_t now) const {
  const uint32_t least = ranks == 1 ? policy_.floor : 0;
  if (group.empty()) return least;
  const uint32_t have = l.up + l.starting;
  const auto waiting = static_cast<double>(group.waiting.size() + group.suspects.size());
  double want = measured_ ? estimate(l.cost + group.cost) / static_cast<double>(policy_.wake)
                          : (static_cast<double>(l.running) + waiting) / policy_.enough;
  if (now >= oldest(group) + policy_.wake && l.starting == 0) want = std::max(want, have + 1.0);
  want = std::min({std::ceil(want), have + waiting, static_cast<double>(members_.size())});
  return std::max({least, 1u, static_cast<uint32_t>(want)});
}

Pool::Member* Pool::free_seat() {
  for (Member& m : members_)
    if (m.state == State::kDown) return &m;
  return nullptr;
}

void Pool::wake(uint32_t ranks, Group& group, uint64_t now, Actions& out) {
  if (now < next_start_ || now < group.next_try) return;
  const Load l = load(ranks);
  const uint32_t want = wanted(ranks, group, l, now);
  for (uint32_t have = l.up + l.starting; have < want; ++have) {
    if ((group.refused || starts_failed_ > 0) && have > l.up) return;  // one asks for all
    Member* m = free_seat();
    if (!m && have == 0 && leaving() == 0) give_up(1, ranks, now, out);
    if (!m || stats_.starting >= policy_.starts) return;
    m->state = State::kStarting;
    m->ranks = ranks;
    ++m->life;
    ++stats_.starting;
    ++stats_.starts;
    out.wake.push_back({{id_of(*m), m->life}, ranks});
  }
}

// A group that waits and has no instance at all comes first, the one that has waited longest; nobody else grows until
// it has one.
void Pool::wake_all(uint64_t now, Actions& out) {
  std::map<uint32_t, Group>::value_type* starved = nullptr;
  bool starving = false;
  for (auto& entry : groups_) {
    const Load l = load(entry.first);
    if (entry.second.empty() || l.up + l.starting > 0) continue;
    starving = true;
    if (entry.second.next_try > now) continue;
    if (!starved || oldest(entry.second) < oldest(starved->second)) starved = &entry;
  }
  if (starved) return wake(starved->first, starved->second, now, out);
  if (starving) return;
  for (auto& [ranks, group] : groups_) wake(ranks, group, now, out);
}

uint32_t Pool::leaving() const {
  return static_cast<uint32_t>(std::count_if(members_.begin(), members_.end(), [](const Member& m) {
    return m.state == State::kLowering || (m.state == State::kUp && m.leaving);
  }));
}

void Pool::lower(Member& m, Actions& out) {
  m.state = State::kLowering;
  out.lower.push_back({id_of(m), m.life});
}

void Pool::lower_idle(uint64_t now, Actions& out) {
  if (policy_.idle == 0) return;
  uint32_t of_one = 0;
  for (const Member& m : members_) of_one += m.state == State::kUp && m.ranks == 1 && !m.leaving;
  for (Member& m : members_) {
    if (m.state != State::kUp || !m.running.empty() || now - m.idle_since < policy_.idle) continue;
    if (m.ranks == 1 && !m.leaving && of_one <= policy_.floor) continue;
    of_one -= m.ranks == 1 && !m.leaving;
    lower(m, out);
  }
}

// Idle instances go at once; for what is still owed others go when they have done what they run. Returns the ranks that
// go at once.
uint32_t Pool::give_up(uint32_t ranks, uint32_t spare, uint64_t now, Actions& out) {
  debt_ = ranks;
  debt_spare_ = spare;
  debt_until_ = now + policy_.wait;
  const size_t before = out.lower.size();
  settle_debt(now, out);
  uint32_t given = 0;
  for (size_t i = before; i < out.lower.size(); ++i) given += members_[out.lower[i].member].ranks;
  return given;
}

uint32_t Pool::yield(uint32_t ranks, uint64_t now, Actions& out) { return give_up(ranks, 0, now, out); }

void Pool::settle_debt(uint64_t now, Actions& out) {
  for (Member& m : members_) {
    if (m.state != State::kUp || !m.running.empty() || !(m.leaving || debt_ > 0)) continue;
    if (!m.leaving && (m.ranks == debt_spare_ || !groups_[m.ranks].empty())) continue;
    if (!m.leaving) debt_ -= std::min(debt_, m.ranks);
    lower(m, out);
  }
  if (now >= debt_until_) debt_ = 0;
  while (debt_ > 0) {
    Member* best = nullptr;
    for (Member& m : members_) {
      if (m.state != State::kUp || m.leaving || m.ranks == debt_spare_ || now - m.born < policy_.quantum) continue;
      if (!best || m.running.size() < best->running.size()) best = &m;
    }
    if (!best) return;
    best->leaving = true;
    debt_ -= std::min(debt_, best->ranks);
    if (best->running.empty()) lower(*best, out);
  }
}

void Pool::decide(uint64_t now, Actions& out) {
  if (stopped_) return;
  if (fault_ && now >= rest_until_) {
    fault_ = out.fault = false;
    out.status = true;
    out.reason.clear();
  }
  settle_debt(now, out);
  for (auto& [ranks, group] : groups_)
    if (!group.empty()) feed(ranks, group, now, out);
  wake_all(now, out);
  lower_idle(now, out);
}

uint64_t Pool::next_wakeup(uint64_t now) const {
  uint64_t next = UINT64_MAX;
  const auto at = [&](uint64_t time) { next = std::min(next, std::max(time, now + kMs)); };
  if (stopped_) return next;
  if (fault_) at(rest_until_);
  for (const auto& [ranks, group] : groups_) {
    const bool wants = !group.empty() || (ranks == 1 && load(1).up + load(1).starting < policy_.floor);
    if (!wants) continue;
    if (std::max(group.next_try, next_start_) > now)
      at(std::max(group.next_try, next_start_));
    else if (stats_.up + stats_.starting < members_.size())
      at(now + policy_.wake / 2);
  }
  for (const Member& m : members_) {
    if (m.state != State::kUp) continue;
    if (policy_.idle && m.running.empty()) at(m.idle_since + policy_.idle);
    if (debt_ > 0 && !m.leaving && m.ranks != debt_spare_) at(m.born + policy_.quantum);
  }
  return next;
}

Pool::Stats Pool::stats() const {
  Stats s = stats_;
  for (const auto& [ranks, group] : groups_) s.backlog += group.waiting.size() + group.suspects.size();
  s.running = tasks_.size() - s.backlog;
  return s;
}

}  // namespace qfw::qpm
