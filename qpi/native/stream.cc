#include "qpi/native/stream.h"

#include <utility>

namespace qfw::qpi {

Stream::Stream(std::shared_ptr<Router> router, std::span<const qpm::DeviceId> devices, qpm::Order order,
               std::shared_ptr<CompletionQueue> completions)
    : router_(std::move(router)), completions_(std::move(completions)), state_(router_->open(devices, order)) {}

Stream::~Stream() {
  try {
    close();
  } catch (const Error&) {  // a broken connection has ended the stream already
  }
}

OperationId Stream::submit(Task task, UserContext context, Deadline deadline) {
  Request request;
  request.tasks.push_back(std::move(task));
  request.context = std::move(context);
  return submit_many(std::span(&request, 1), deadline).front();
}

std::vector<OperationId> Stream::submit_many(std::span<Request> requests, Deadline deadline) {
  auto ids = try_submit(requests, deadline, deadline);
  if (ids.empty()) router_->no_credit().raise();
  return ids;
}

std::vector<OperationId> Stream::try_submit(std::span<Request> requests, Deadline credit, Deadline whole) {
  if (requests.empty()) throw Error(ErrorCode::kInvalidArgument, "an empty batch: 0 tasks; at least 1 is needed");
  for (const Request& request : requests) {
    if (request.tasks.empty())
      throw Error(ErrorCode::kInvalidArgument, "an operation has 0 tasks; at least 1 is needed");
    for (const Task& task : request.tasks) check(task.task);
  }
  return router_->submit(state_, requests, completions_, credit, whole);
}

}  // namespace qfw::qpi
