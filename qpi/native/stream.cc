#include "qpi/native/stream.h"

#include <utility>

namespace qfw::qpi {

Stream::Stream(const Mesh& mesh, qpm::Order order, const Queues& queues, std::shared_ptr<Pipeline> pipeline,
               const qpm::JobSpec* job)
    : router_(mesh.router()),
      devices_(mesh.devices()),
      pipeline_(std::move(pipeline)),
      receivers_{queues.tasks, queues.queries, queues.barriers, queues.errors},
      state_(mesh.open(order, job)) {}

Stream::~Stream() {
  try {
    close();
  } catch (const Error&) {  // a broken connection has ended the stream already
  }
}

// The tasks that the pipeline makes of the request's one: for its one device, any of its devices, or each of them.
void Stream::expand(Request& request) const {
  if (!pipeline_ || !request.expansions.empty()) return;
  std::vector<Task> made;
  const size_t copies = state_->ids.size();
  for (uint32_t place = 0; place < copies; ++place) {
    const Device* device = copies > 1 || devices_.size() == 1 ? &devices_[place] : nullptr;
    Task task = request.tasks.front();
    auto tasks = pipeline_->expand(std::move(task), device, request.expansions.emplace_back());
    for (Task& each : tasks) {
      check(each.task);
      each.place = place;
      made.push_back(std::move(each));
    }
  }
  request.tasks = std::move(made);
}

OperationId Stream::submit(Request&& request, Deadline deadline) {
  const auto ids = router_->submit(state_, std::span(&request, 1), receivers_, deadline);
  if (ids.empty()) router_->no_credit().raise();
  return ids.front();
}

OperationId Stream::submit(Task task, UserContext context, Deadline deadline) {
  Request request;
  request.tasks.push_back(std::move(task));
  request.context = std::move(context);
  return submit_many(std::span(&request, 1), deadline).front();
}

std::vector<OperationId> Stream::submit_many(std::span<Request> requests, Deadline deadline) {
  auto ids = try_submit(requests, deadline);
  if (ids.empty()) router_->no_credit().raise();
  return ids;
}

std::vector<OperationId> Stream::try_submit(std::span<Request> requests, Deadline credit, bool placed) {
  if (requests.empty()) throw Error(ErrorCode::kInvalidArgument, "an empty batch: 0 tasks; at least 1 is needed");
  for (const Request& request : requests) {
    if (request.tasks.empty())
      throw Error(ErrorCode::kInvalidArgument, "an operation has 0 tasks; at least 1 is needed");
    for (const Task& task : request.tasks) check(task.task);
  }
  for (Request& request : requests) {
    expand(request);
    if (!placed && !pipeline_) place_on_each(request.tasks, state_->ids.size());
  }
  return router_->submit(state_, requests, receivers_, credit);
}

OperationId Stream::query(std::vector<qpm::DeviceId> devices, UserContext context, Deadline deadline) {
  return submit(Request{{}, std::move(context), Kind::kQuery, std::move(devices), {}}, deadline);
}

OperationId Stream::barrier(UserContext context, Deadline deadline) {
  return submit(Request{{}, std::move(context), Kind::kBarrier, {}, {}}, deadline);
}

}  // namespace qfw::qpi
