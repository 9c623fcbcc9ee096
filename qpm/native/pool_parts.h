// A sweep of many rows as parts that run apart, in several instances, and come back as one result.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "qpm/native/job.h"

namespace qfw::qpm {

// How many rows a part of a task of `rows` rows should have, of which each takes `row_ns`, when up to `instances` share
// it: parts long enough for their way to cost little, and enough of them that nobody waits long for the last.
uint32_t rows_of_part(uint32_t rows, double row_ns, uint32_t instances) noexcept;

class Sweep {
 public:
  Sweep(JobPtr whole, uint32_t rows_of_part);

  const JobPtr& whole() const noexcept { return whole_; }
  const std::vector<JobPtr>& parts() const noexcept { return parts_; }  // in order

  // A part is done. True when it was the last; `stop` is set when the others need not go on.
  bool returned(const JobPtr& part, Result&& result, bool& stop);

  // The result of the whole, once all parts are done: rows in order, the same as those of one instance.
  Result result();

 private:
  const JobPtr whole_;
  std::vector<JobPtr> parts_;
  size_t left_;
  Result result_;
  Failure failed_;  // of a whole part: the first in time
};

// What a task says when some of its rows failed: the first failure, and which rows.
Failure failure_of_rows(const std::vector<RowResult>& rows);

}  // namespace qfw::qpm
