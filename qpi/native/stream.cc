#include "qpi/native/stream.h"

#include <utility>

namespace qfw::qpi {

Stream::Stream(const Mesh& mesh, qpm::Order order, const Queues& queues)
    : router_(mesh.router()),
      receivers_{queues.tasks, queues.queries, queues.barriers, queues.errors},
      state_(mesh.open(order)) {}

Stream::~Stream() {
  try {
    close();
  } catch (const Error&) {  // a broken connection has ended the stream already
  }
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
  if (!placed)
    for (Request& request : requests) place_on_each(request.tasks, state_->ids.size());
  return router_->submit(state_, requests, receivers_, credit);
}

OperationId Stream::query(std::vector<qpm::DeviceId> devices, UserContext context, Deadline deadline) {
  return submit(Request{{}, std::move(context), Kind::kQuery, std::move(devices)}, deadline);
}

OperationId Stream::barrier(UserContext context, Deadline deadline) {
  return submit(Request{{}, std::move(context), Kind::kBarrier, {}}, deadline);
}

}  // namespace qfw::qpi
