// The tool pipeline of a stream, for tools of native programs: a task becomes a group of tasks on the way in, their
// results one on the way back. (Python's pipelines are qfw.toolchain.tools; the shape is the same.)
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "qpi/native/device.h"
#include "qpi/native/task.h"
#include "qpm/api/native/result.h"

namespace qfw::qpi {

class Tool {
 public:
  virtual ~Tool() = default;
  virtual const std::string& name() const = 0;
  // The tasks to run in place of one, at least one; `state` comes back to reduce(). `device`: the one they are for;
  // null: any of several. Throws Error.
  virtual std::vector<Task> expand(const Task& task, const Device* device, std::shared_ptr<void>& state) const = 0;
  // One result of theirs, in the same order; none of them failed. Throws Error.
  virtual qpm::Result reduce(std::vector<qpm::Result>&& results, void* state) const = 0;
};

// One task on its way through a pipeline: what each tool made, to be undone in reverse.
class Expansion {
 public:
  qpm::Result reduce(std::vector<qpm::Result>&& results) const;  // throws what a tool threw
  size_t tasks() const noexcept { return tasks_; }

 private:
  friend class Pipeline;
  struct Step {  // one tool's work on one task
    size_t count;
    std::shared_ptr<void> state;
  };
  std::vector<std::pair<std::shared_ptr<Tool>, std::vector<Step>>> levels_;
  size_t tasks_ = 0;
  uint64_t tools_ns_ = 0;
};

class Pipeline {
 public:
  explicit Pipeline(std::vector<std::shared_ptr<Tool>> tools) : tools_(std::move(tools)) {}
  // kInvalidArgument, naming the tool, when one gives no task.
  std::vector<Task> expand(Task&& task, const Device* device, Expansion& expansion) const;

 private:
  const std::vector<std::shared_ptr<Tool>> tools_;
};

struct Operation;

// Puts in place of the results of an operation those that its expansions make of them; what a tool throws becomes its
// failure, and says so by false.
bool reduce(Operation& operation);

}  // namespace qfw::qpi
