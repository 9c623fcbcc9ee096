#include "qpm/native/dispatch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "qpm/native/lane.h"

namespace qfw::qpm {
namespace {

bool accepts(DeviceStatus s) noexcept { return s == DeviceStatus::kOnline || s == DeviceStatus::kBusy; }
bool hopeful(DeviceStatus s) noexcept { return accepts(s) || s == DeviceStatus::kStarting; }

const char* status_word(DeviceStatus s) noexcept {
  switch (s) {
    case DeviceStatus::kOnline:
      return "online";
    case DeviceStatus::kStarting:
      return "starting";
    case DeviceStatus::kBusy:
      return "busy";
    case DeviceStatus::kDraining:
      return "draining";
    case DeviceStatus::kFault:
      return "in fault";
    case DeviceStatus::kOffline:
      return "offline";
  }
  return "in an unknown state";
}

Failure cancelled() { return {ErrorCode::kCancelled, "the task was cancelled before it started"}; }

}  // namespace

// One session's standing on one device.
struct Dispatcher::Share {
  double used = 0.0;  // virtual time: estimated nanoseconds over weight
  double weight = 1.0;
  std::list<Lane*> waiting;  // take turns
};

struct Dispatcher::Device {
  DeviceId id = 0;
  std::string name;
  uint32_t capacity = 1;
  uint32_t running = 0;
  DeviceStatus status = DeviceStatus::kOnline;
  std::string reason;
  double clock = 0.0;  // virtual time of the last start
  std::unordered_map<SessionId, Share> shares;
  std::set<std::pair<double, SessionId>> waiting;  // sessions with a parked lane, by virtual time

  bool free() const noexcept { return accepts(status) && running < capacity; }
};

struct Dispatcher::Session {
  struct Stream {
    Order order;
    std::vector<DeviceId> devices;
    std::map<std::vector<DeviceId>, std::shared_ptr<Lane>> lanes;
  };
  double weight = 1.0;
  bool paused = false;
  std::unordered_map<StreamId, Stream> streams;
  std::unordered_map<TaskId, TicketPtr> tickets;
};

Dispatcher::Dispatcher(Limits limits) : limits_(limits) {}
Dispatcher::~Dispatcher() = default;

// ---- devices

void Dispatcher::add_device(DeviceId id, std::string name, uint32_t capacity) {
  if (id != devices_.size()) throw Error(ErrorCode::kInternal, "device ids are given in order");
  auto d = std::make_unique<Device>();
  d->id = id;
  d->name = std::move(name);
  d->capacity = std::max(1u, capacity);
  devices_.push_back(std::move(d));
}

Dispatcher::Device& Dispatcher::device(DeviceId id) { return const_cast<Device&>(std::as_const(*this).device(id)); }

const Dispatcher::Device& Dispatcher::device(DeviceId id) const {
  if (id >= devices_.size())
    throw Error(ErrorCode::kNotFound,
                "no device with id " + std::to_string(id) + "; there are " + std::to_string(devices_.size()));
  return *devices_[id];
}

uint64_t Dispatcher::load(DeviceId id) const {
  const Device& d = device(id);
  uint64_t n = d.running;
  for (const auto& [session, share] : d.shares)
    for (const Lane* lane : share.waiting) n += lane->queued;
  return n;
}

bool Dispatcher::full(DeviceId id) const { return device(id).running >= device(id).capacity; }
DeviceStatus Dispatcher::status(DeviceId id) const { return device(id).status; }
const std::string& Dispatcher::status_reason(DeviceId id) const { return device(id).reason; }

Failure Dispatcher::no_usable_device(const std::vector<DeviceId>& ids) const {
  std::string words;
  for (DeviceId id : ids) {
    const Device& d = device(id);
    if (hopeful(d.status)) return {};
    words += (words.empty() ? "device '" : "; device '") + d.name + "' is " + status_word(d.status);
    if (!d.reason.empty()) words += " (" + d.reason + ")";
  }
  return {ErrorCode::kUnavailable, words, true, 1.0};
}

void Dispatcher::set_device_status(DeviceId id, DeviceStatus status, const std::string& reason, Actions& out) {
  Device& d = device(id);
  d.status = status;
  d.reason = reason;
  if (accepts(status)) return pull(d, out);
  if (hopeful(status)) return;
  for (auto& [sid, session] : sessions_) {
    for (auto& [stream_id, stream] : session->streams) {
      for (auto& [key, lane] : stream.lanes) {
        unpark(*lane);
        make_ready(*lane, out);  // fails what no device can run any more
      }
    }
  }
}

// ---- sessions and streams

Dispatcher::Session* Dispatcher::find_session(SessionId id) {
  auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void Dispatcher::open_session(SessionId id, double weight) {
  if (sessions_.size() >= limits_.max_sessions)
    throw Error(ErrorCode::kResourceExhausted,
                "all " + std::to_string(limits_.max_sessions) + " sessions of this runtime are in use", true, 1.0);
  auto s = std::make_unique<Session>();
  s->weight = weight;
  sessions_.emplace(id, std::move(s));
}

void Dispatcher::abandon(SessionId id, const Failure& failure, Actions& out) {
  Session* s = find_session(id);
  if (!s) return;
  for (auto& [stream_id, stream] : s->streams)
    for (auto& [key, lane] : stream.lanes)
      while (Ticket* t = lane->head()) end(*t, failure, out);
  std::vector<TicketPtr> left;  // running, or queued in a stream that was closed while its head ran
  for (auto& [task, ticket] : s->tickets) left.push_back(ticket);
  for (auto& ticket : left) {
    if (ticket->state == Ticket::State::kQueued) {
      end(*ticket, failure, out);
    } else {
      out.stop.push_back(ticket);
    }
  }
}

void Dispatcher::close_session(SessionId id, Actions& out) {
  abandon(id, cancelled(), out);
  sessions_.erase(id);
  for (auto& d : devices_) d->shares.erase(id);
}

void Dispatcher::pause_session(SessionId id, bool paused, Actions& out) {
  Session* s = find_session(id);
  if (!s || s->paused == paused) return;
  s->paused = paused;
  for (auto& [stream_id, stream] : s->streams) {
    for (auto& [key, lane] : stream.lanes) {
      lane->paused = paused;
      if (paused)
        unpark(*lane);
      else
        make_ready(*lane, out);
    }
  }
}

void Dispatcher::open_stream(SessionId sid, StreamId id, std::vector<DeviceId> devices, Order order) {
  Session* s = find_session(sid);
  if (!s) throw Error(ErrorCode::kNotFound, "no session " + std::to_string(sid));
  if (devices.empty()) throw Error(ErrorCode::kInvalidArgument, "a stream needs at least one device, found 0");
  for (DeviceId d : devices) device(d);
  if (s->streams.size() >= limits_.max_streams)
    throw Error(ErrorCode::kLimitExceeded,
                "a session may have " + std::to_string(limits_.max_streams) + " open streams");
  if (s->streams.count(id))
    throw Error(ErrorCode::kInvalidArgument, "stream " + std::to_string(id) + " is open already");
  std::vector<DeviceId> unique;
  for (DeviceId d : devices)
    if (std::find(unique.begin(), unique.end(), d) == unique.end()) unique.push_back(d);
  s->streams.emplace(id, Session::Stream{order, std::move(unique), {}});
}

void Dispatcher::close_stream(SessionId sid, StreamId id, Actions& out) {
  Session* s = find_session(sid);
  if (!s) return;
  auto found = s->streams.find(id);
  if (found == s->streams.end()) return;
  std::vector<TicketPtr> running;
  for (auto& [task, t] : s->tickets)
    if (t->stream == id && t->state == Ticket::State::kRunning) running.push_back(t);
  for (auto& [key, lane] : found->second.lanes) fail_lane(*lane, cancelled(), out);
  for (auto& t : running) out.stop.push_back(std::move(t));
  s->streams.erase(found);
}

// ---- tasks

// The lane of a ticket: a sequential stream has one, a parallel stream one for each set of devices.
std::shared_ptr<Lane> Dispatcher::lane_of(Session& s, const Ticket& t) {
  auto found = s.streams.find(t.stream);
  if (found == s.streams.end()) return nullptr;
  Session::Stream& stream = found->second;
  const bool sequential = stream.order == Order::kSequential;
  const auto& key = sequential || t.devices.empty() ? stream.devices : t.devices;
  auto& lane = stream.lanes[key];
  if (!lane) {
    lane = std::make_shared<Lane>();
    lane->session = t.session;
    lane->order = stream.order;
    lane->devices = key;
    lane->paused = s.paused;
  }
  return lane;
}

const std::vector<DeviceId>& Dispatcher::candidates(const Lane& lane) const {
  const Ticket* head = lane.head();
  return lane.sequential() && head && !head->devices.empty() ? head->devices : lane.devices;
}

void Dispatcher::submit(TicketPtr ticket, Actions& out) {
  Ticket& t = *ticket;
  Session* s = find_session(t.session);
  if (!s) throw Error(ErrorCode::kClosed, "the session was closed");
  if (!s->tickets.emplace(t.task, ticket).second) {
    t.doom = {ErrorCode::kInvalidArgument, "task id " + std::to_string(t.task) + " is in use in this session"};
    t.state = Ticket::State::kDone;
    out.fail.push_back(std::move(ticket));
    return;
  }
  t.lane = lane_of(*s, t);
  if (!t.lane) {
    t.doom = {ErrorCode::kNotFound, "no open stream " + std::to_string(t.stream)};
    out.fail.push_back(release(t));
    return;
  }
  t.sequential = t.lane->sequential();
  if (!t.doom && queued_ >= limits_.max_queue)
    t.doom = {ErrorCode::kResourceExhausted,
              "the runtime's queue is full: " + std::to_string(limits_.max_queue) + " tasks wait", true, 0.1};
  if (!t.doom) t.doom = no_usable_device(t.devices.empty() ? t.lane->devices : t.devices);
  if (t.doom && (!t.sequential || (t.lane->queued == 0 && t.lane->running == 0))) {
    out.fail.push_back(release(t));
    return;
  }
  t.state = Ticket::State::kQueued;
  t.lane->push(t);
  ++queued_;
  if (t.deadline) {
    t.timer = deadlines_.emplace(t.deadline, &t);
    t.timed = true;
  }
  make_ready(*t.lane, out);
}

TicketPtr Dispatcher::release(Ticket& t) {
  if (t.timed) deadlines_.erase(t.timer);
  t.timed = false;
  t.state = Ticket::State::kDone;
  Session* s = find_session(t.session);
  auto found = s->tickets.find(t.task);
  TicketPtr owner = std::move(found->second);
  s->tickets.erase(found);
  return owner;
}

void Dispatcher::unlink(Ticket& t) {
  Lane& lane = *t.lane;
  if (lane.sequential() && lane.head() == &t) unpark(lane);  // the next head may have other devices
  lane.remove(t);
  --queued_;
  if (lane.queued == 0) unpark(lane);
}

// Ends a queued ticket with an error.
void Dispatcher::end(Ticket& t, Failure failure, Actions& out) {
  if (!t.doom) t.doom = std::move(failure);
  unlink(t);
  out.fail.push_back(release(t));
}

// A queued ticket will not run. A sequential stream still completes in order: there it ends in its turn.
void Dispatcher::doom(Ticket& t, Failure failure, Actions& out) {
  if (!t.sequential) return end(t, std::move(failure), out);
  if (!t.doom) t.doom = std::move(failure);
  auto lane = t.lane;
  advance(*lane, out);
  make_ready(*lane, out);
}

// Ends the doomed tickets at the head of a sequential lane.
void Dispatcher::advance(Lane& lane, Actions& out) {
  while (lane.sequential() && lane.running == 0 && lane.head() && lane.head()->doom) end(*lane.head(), {}, out);
}

void Dispatcher::fail_lane(Lane& lane, const Failure& failure, Actions& out) {
  if (!lane.sequential() || lane.running == 0) {
    while (Ticket* t = lane.head()) end(*t, failure, out);
    return;
  }
  for (Ticket* t = lane.head(); t; t = t->next)
    if (!t->doom) t->doom = failure;
}

void Dispatcher::forget(Ticket& t) {
  if (t.timed) deadlines_.erase(t.timer);
  t.timed = false;
  Session* s = find_session(t.session);
  if (!s) return;
  auto found = s->tickets.find(t.task);
  if (found != s->tickets.end() && found->second.get() == &t) s->tickets.erase(found);
}

void Dispatcher::finished(Ticket& t, Actions& out) {
  if (t.state != Ticket::State::kRunning) return;
  Device& d = device(t.device);
  --d.running;
  --running_;
  auto lane = std::move(t.lane);
  --lane->running;
  forget(t);
  t.state = Ticket::State::kDone;
  advance(*lane, out);
  if (d.waiting.empty()) return make_ready(*lane, out);
  // Others wait: a sequential lane queues up behind them before the slot is given away.
  if (!lane->ready() || lane->parked()) return pull(d, out);
  const std::vector<DeviceId> devices = candidates(*lane);
  park(*lane);
  pull(d, out);
  for (DeviceId id : devices) pull(device(id), out);
}

void Dispatcher::cancel(SessionId sid, TaskId id, Actions& out) {
  Session* s = find_session(sid);
  if (!s) return;
  auto found = s->tickets.find(id);
  if (found == s->tickets.end()) return;
  TicketPtr t = found->second;
  if (t->state == Ticket::State::kRunning)
    out.stop.push_back(std::move(t));
  else
    doom(*t, cancelled(), out);
}

void Dispatcher::expire(uint64_t now, Actions& out) {
  const Failure late{ErrorCode::kDeadlineExceeded, "the task's deadline passed before it started"};
  std::vector<std::shared_ptr<Lane>> ordered;  // looked at last: what starts there must not be late itself
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Ticket& t = *deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    t.timed = false;
    if (t.state == Ticket::State::kRunning) {
      t.expired = true;
      if (Session* s = find_session(t.session)) out.stop.push_back(s->tickets.at(t.task));
    } else if (t.sequential) {
      if (!t.doom) t.doom = late;
      ordered.push_back(t.lane);
    } else {
      end(t, late, out);
    }
  }
  for (const auto& lane : ordered) {
    advance(*lane, out);
    make_ready(*lane, out);
  }
}

uint64_t Dispatcher::next_deadline() const noexcept {
  return deadlines_.empty() ? std::numeric_limits<uint64_t>::max() : deadlines_.begin()->first;
}

// ---- who runs next

Dispatcher::Share& Dispatcher::share(Device& d, SessionId id) {
  auto [it, fresh] = d.shares.try_emplace(id);
  if (fresh)
    if (const Session* s = find_session(id)) it->second.weight = s->weight;
  return it->second;
}

void Dispatcher::charge(Device& d, SessionId id, double cost_ns) {
  Share& sh = share(d, id);
  const bool waits = !sh.waiting.empty();
  auto node = waits ? d.waiting.extract({sh.used, id}) : decltype(d.waiting)::node_type{};
  d.clock = std::max(d.clock, sh.used);
  sh.used = d.clock + std::max(cost_ns, 1.0) / sh.weight;
  if (node) {
    node.value().first = sh.used;
    d.waiting.insert(std::move(node));
  }
}

// Puts a ready lane into the waiting lists of its candidate devices.
void Dispatcher::park(Lane& lane) {
  for (DeviceId id : candidates(lane)) {
    Device& d = device(id);
    Share& sh = share(d, lane.session);
    if (sh.waiting.empty()) {
      // One that comes back from idling goes before the many that stand at the same point.
      if (sh.used <= d.clock) sh.used = std::nextafter(d.clock, -1.0);
      d.waiting.emplace(sh.used, lane.session);
    }
    lane.places.emplace_back(id, sh.waiting.insert(sh.waiting.end(), &lane));
  }
}

void Dispatcher::unpark(Lane& lane) {
  for (auto& [id, place] : lane.places) {
    Device& d = device(id);
    Share& sh = share(d, lane.session);
    sh.waiting.erase(place);
    if (sh.waiting.empty()) d.waiting.erase({sh.used, lane.session});
  }
  lane.places.clear();
}

// Starts what can start of a lane, on the least loaded of its free devices, and parks the rest.
void Dispatcher::make_ready(Lane& lane, Actions& out) {
  while (lane.ready() && !lane.parked()) {
    Device* best = nullptr;
    for (DeviceId id : candidates(lane)) {
      Device& d = device(id);
      if (d.free() && (!best || d.running * uint64_t{best->capacity} < best->running * uint64_t{d.capacity})) best = &d;
    }
    if (best) {
      start(lane, *best, out);
    } else if (Failure f = no_usable_device(candidates(lane))) {
      end(*lane.head(), std::move(f), out);
      advance(lane, out);
    } else {
      return park(lane);
    }
  }
}

void Dispatcher::start(Lane& lane, Device& d, Actions& out) {
  Ticket& t = *lane.head();
  const SessionId session = lane.session;
  unlink(t);
  t.state = Ticket::State::kRunning;
  t.device = d.id;
  ++lane.running;
  ++d.running;
  ++running_;
  if (lane.sequential()) unpark(lane);
  charge(d, session, t.cost_ns);
  out.start.push_back(find_session(session)->tickets.at(t.task));
}

void Dispatcher::pull(Device& d, Actions& out) {
  while (d.free() && !d.waiting.empty()) {
    Share& sh = share(d, d.waiting.begin()->second);
    Lane& lane = *sh.waiting.front();
    sh.waiting.splice(sh.waiting.end(), sh.waiting, sh.waiting.begin());  // lanes take turns
    start(lane, d, out);
  }
}

}  // namespace qfw::qpm
