#include "qpi/native/operation.h"

namespace qfw::qpi {

qpm::Failure failure_of(const std::vector<std::string>& devices, const std::vector<const qpm::Failure*>& failures) {
  qpm::Failure whole;
  std::string words;
  size_t failed = 0;
  for (size_t i = 0; i < failures.size(); ++i) {
    if (!failures[i] || !*failures[i]) continue;
    if (failed++ == 0) whole = *failures[i];
    words += (words.empty() ? "" : "; ") + devices[i] + ": " + failures[i]->message;
  }
  if (failed)
    whole.message = std::to_string(failed) + " of " + std::to_string(devices.size()) + " devices failed: " + words;
  return whole;
}

}  // namespace qfw::qpi
