// Which instance of a pool runs which task, and when instances are started and stopped: a pure state machine. Events
// and the clock go in, actions come out; no threads, no I/O, no reading of clocks. PoolDevice drives it under one lock.
//
// A pool has seats (members), each of which runs one instance at a time, of one rank or of several. Tasks wait in the
// pool, by the number of ranks that they want; an instance is given a bounded amount of work and comes back for more.
// One that dies leaves its tasks to the others: those that ran in it are suspects and run alone from then on, so that a
// task that kills is found by its third death, and its neighbours are not.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "qpm/api/native/result.h"

namespace qfw::qpm {

using MemberId = uint32_t;
using PoolKey = uint64_t;  // of a task, the caller's choice; unique among the unfinished

class Pool {
 public:
  static constexpr uint64_t kMs = 1'000'000;  // times are nanoseconds

  struct Policy {
    uint32_t capacity = 1;           // tasks that an instance is given at once, at most
    uint32_t floor = 0;              // instances of one rank kept up
    uint64_t idle = 0;               // an instance beyond the floor without work for as long is stopped; 0: never
    uint64_t ahead = 20 * kMs;       // estimated work that an instance is given at once
    uint64_t wake = 100 * kMs;       // another is started when those up need longer for what there is
    uint32_t starts = 16;            // that are under way at once
    uint32_t enough = 4;             // or, while nothing is known of durations, have as many tasks each
    uint32_t deaths = 3;             // of instances with a task in them, which then ends as DeviceLost
    uint64_t fast = 5000 * kMs;      // one that lives shorter died fast
    uint32_t failed_starts = 3;      // in a row, nothing up: the device is in fault
    uint32_t fast_deaths = 6;        // the same of fast deaths, while starting too, without a result in between
    uint64_t rest = 10'000 * kMs;    // for this long
    uint64_t retry_min = 100 * kMs;  // back-off of starts after failures, deaths and refusals, doubling
    uint64_t retry_max = 5000 * kMs;
    uint64_t wait = 2000 * kMs;     // of somebody who wants slots, for them
    uint64_t quantum = 1000 * kMs;  // an instance has been up for that long before it is given up for others
  };

  // To be carried out in this order. `life` counts a member's instances: what is meant for an earlier one is void.
  struct Actions {
    struct At {
      MemberId member;
      uint32_t life;
    };
    struct Wake : At {
      uint32_t ranks;
    };
    struct On : At {
      PoolKey key;
    };
    std::vector<std::pair<PoolKey, Failure>> fail;  // ends, in no instance
    std::vector<Wake> wake;                         // answered by up(), refused() or failed()
    std::vector<On> run;                            // answered by completed(), or died()
    std::vector<On> cancel;                         // of one that runs
    std::vector<At> lower;                          // answered by down() or died()
    bool status = false;                            // the device's state changed:
    bool fault = false;
    std::string reason;
    bool freed = false;  // slots were given back
  };

  struct Stats {
    uint32_t members = 0, up = 0, starting = 0;
    uint64_t backlog = 0, running = 0, deaths = 0, starts = 0, redispatched = 0;
  };

  Pool(std::string name, uint32_t members, Policy policy);

  // Each of these only notes what happened; decide() says what follows.
  void submit(PoolKey key, uint32_t ranks, double cost_ns, uint64_t now);
  void cancel(PoolKey key, Actions& out);  // unknown ones are done: ignored
  void up(MemberId member, uint64_t now);
  // There is no slot for it: not a death. One that is not transient ends what waits for so many ranks.
  void refused(MemberId member, const Failure& failure, uint64_t now, Actions& out);
  void failed(MemberId member, const Failure& failure, uint64_t now, Actions& out);  // could not be started
  // `delivered`: the tasks that were in it, others had not reached it.
  void died(MemberId member, const std::vector<PoolKey>& delivered, const std::string& words, uint64_t now,
            Actions& out);
  void down(MemberId member, uint64_t now, Actions& out);
  bool completed(MemberId member, PoolKey key);                // false: not its task any more
  void progressed(MemberId member, uint64_t now);              // after the completed() of one message
  void freed();                                                // elsewhere: worth asking again
  uint32_t yield(uint32_t ranks, uint64_t now, Actions& out);  // ranks that are given back at once
  void stop(Actions& out);                                     // what waits ends as cancelled; nothing follows

  void decide(uint64_t now, Actions& out);
  uint64_t next_wakeup(uint64_t now) const;  // when decide() is worth calling again; UINT64_MAX: at the next event

  uint32_t up() const noexcept { return stats_.up; }
  Stats stats() const;
  double estimate(double cost_ns) const noexcept { return cost_ns * (measured_ ? ratio_ : 1.0); }

 private:
  enum class State : uint8_t { kDown, kStarting, kUp, kLowering };

  struct Task {
    uint32_t ranks = 1;
    uint32_t deaths = 0;
    double cost = 0;
    uint64_t since = 0;  // waits
    bool running = false;
    bool unwanted = false;  // cancelled while it ran
    MemberId member = 0;
    std::list<PoolKey>::iterator place;  // while it waits
  };

  struct Member {
    State state = State::kDown;
    uint32_t life = 0;
    uint32_t ranks = 1;
    bool alone = false;    // a suspect runs in it
    bool leaving = false;  // given up for somebody else: gets nothing more
    bool served = false;   // has given a result
    double cost = 0;       // estimated, of what runs in it
    uint64_t born = 0;
    uint64_t idle_since = 0;
    uint64_t busy_since = 0;  // began, or came back with results
    double done = 0;          // cost of what came back since then
    std::unordered_set<PoolKey> running;
  };

  struct Group {  // tasks and instances of as many ranks
    std::list<PoolKey> waiting, suspects;
    double cost = 0;        // of those
    uint64_t next_try = 0;  // after a refusal
    uint64_t delay = 0;
    bool refused = false;  // one asks at a time
    bool empty() const noexcept { return waiting.empty() && suspects.empty(); }
  };

  struct Load {  // of a group
    uint32_t up = 0, starting = 0;
    double cost = 0;
    size_t running = 0;
  };

  Load load(uint32_t ranks) const;
  bool hungry(const Member& m) const;
  bool room(const Member& m) const;
  void feed(uint32_t ranks, Group& group, uint64_t now, Actions& out);
  void feed_suspects(uint32_t ranks, Group& group, uint64_t now, Actions& out);
  void run(Member& m, PoolKey key, uint64_t now, Actions& out);
  void wake(uint32_t ranks, Group& group, uint64_t now, Actions& out);
  void wake_all(uint64_t now, Actions& out);
  uint64_t oldest(const Group& group) const;
  uint32_t wanted(uint32_t ranks, const Group& group, const Load& load, uint64_t now) const;
  Member* free_seat();
  void lower(Member& m, Actions& out);
  void lower_idle(uint64_t now, Actions& out);
  uint32_t give_up(uint32_t ranks, uint32_t spare, uint64_t now, Actions& out);
  void settle_debt(uint64_t now, Actions& out);
  void enqueue(PoolKey key, Task& task, bool first);
  PoolKey dequeue(Group& group, std::list<PoolKey>& list);
  void requeue(PoolKey key, Task& task, bool suspect, uint64_t now);
  void end(PoolKey key, Failure failure, Actions& out);
  void end_waiting(Group& group, const Failure& failure, Actions& out);
  void count_failure(bool start, const Failure& failure, uint64_t now, Actions& out);
  uint32_t leaving() const;
  void unseat(Member& m, uint64_t now, Actions& out);
  MemberId id_of(const Member& m) const { return static_cast<MemberId>(&m - members_.data()); }

  const std::string name_;
  const Policy policy_;
  std::vector<Member> members_;
  std::map<uint32_t, Group> groups_;  // by ranks
  std::unordered_map<PoolKey, Task> tasks_;
  Stats stats_;
  double ratio_ = 1.0;  // measured over estimated duration
  bool measured_ = false;
  uint32_t starts_failed_ = 0, died_fast_ = 0;  // in a row
  uint64_t next_start_ = 0, start_delay_ = 0;   // after failures
  uint64_t rest_until_ = 0;                     // in fault
  bool fault_ = false, stopped_ = false;
  uint32_t debt_ = 0;        // ranks that others want
  uint32_t debt_spare_ = 0;  // but not those of instances of as many ranks (0: of any)
  uint64_t debt_until_ = 0;  // then they have found some elsewhere, or ask again
};

}  // namespace qfw::qpm
