#include "qpi/native/tool.h"

#include <algorithm>
#include <iterator>

#include "qpi/native/operation.h"

namespace qfw::qpi {
namespace {

uint64_t since(Clock::time_point start) {
  return static_cast<uint64_t>(std::chrono::nanoseconds(Clock::now() - start).count());
}

}  // namespace

std::vector<Task> Pipeline::expand(Task&& task, const Device* device, Expansion& expansion) const {
  const auto start = Clock::now();
  std::vector<Task> tasks;
  tasks.push_back(std::move(task));
  for (const auto& tool : tools_) {
    std::vector<Task> next;
    auto& steps = expansion.levels_.emplace_back(tool, std::vector<Expansion::Step>()).second;
    for (const Task& each : tasks) {
      std::shared_ptr<void> state;
      auto made = tool->expand(each, device, state);
      if (made.empty())
        throw Error(ErrorCode::kInvalidArgument,
                    "the tool \"" + tool->name() + "\" made 0 tasks of one; at least 1 is needed");
      steps.push_back({made.size(), std::move(state)});
      std::move(made.begin(), made.end(), std::back_inserter(next));
    }
    tasks = std::move(next);
  }
  expansion.tasks_ = tasks.size();
  expansion.tools_ns_ = since(start);
  for (Task& each : tasks) each.tools_ns = expansion.tools_ns_;
  return tasks;
}

// Its timing is that of the last task to end, tools included.
qpm::Result Expansion::reduce(std::vector<qpm::Result>&& results) const {
  const auto start = Clock::now();
  const auto longest = std::max_element(results.begin(), results.end(), [](const auto& a, const auto& b) {
    return a.timing.total_ns() < b.timing.total_ns();
  });
  qpm::Timing timing = longest->timing;
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    std::vector<qpm::Result> next;
    auto from = results.begin();
    for (const Step& step : level->second) {
      const auto to = from + static_cast<ptrdiff_t>(step.count);
      std::vector<qpm::Result> part(std::make_move_iterator(from), std::make_move_iterator(to));
      next.push_back(level->first->reduce(std::move(part), step.state.get()));
      from = to;
    }
    results = std::move(next);
  }
  timing.tools_ns = tools_ns_ + since(start);
  results.front().timing = timing;
  return std::move(results.front());
}

bool reduce(Operation& operation) {
  if (operation.expansions.empty() || operation.failure()) return true;
  std::vector<qpm::Result> reduced;
  auto from = operation.results.begin();
  try {
    for (const Expansion& expansion : operation.expansions) {
      const auto to = from + static_cast<ptrdiff_t>(expansion.tasks());
      reduced.push_back(expansion.reduce({std::make_move_iterator(from), std::make_move_iterator(to)}));
      from = to;
    }
  } catch (const Error& e) {
    operation.whole = qpm::Failure::of(e);
  }
  operation.expansions.clear();
  if (operation.whole) return false;
  operation.results = std::move(reduced);
  return true;
}

}  // namespace qfw::qpi
