// C API: results.
#include "qpi/native/capi.h"

using namespace qfw::qpi;
using namespace qfw::qpi::capi;
using qfw::ErrorCode;

namespace {

const qfw::qpm::RowResult& row_of(const qpi_result* result, size_t row) {
  const auto& rows = need(result, "result").result.rows;
  if (row >= rows.size())
    throw qfw::Error(ErrorCode::kInvalidArgument,
                     "row is " + std::to_string(row) + "; the result has " + std::to_string(rows.size()) + " rows");
  return rows[row];
}

size_t width(const qpi_result* result) { return (result->result.num_bits + 7) / 8; }

int say(const qfw::qpm::Failure& failure, const char** message) {
  if (message) *message = failure.message.c_str();
  return code_of(failure.code);
}

// Points at one array of a row.
template <class T, class Member>
int64_t point(const qpi_result* result, size_t row, const T** data, Member member) {
  return guard([&]() -> int64_t {
    const auto& array = row_of(result, row).*member;
    need(data, "data") = reinterpret_cast<const T*>(array.data());
    return static_cast<int64_t>(array.size());
  });
}

using Row = qfw::qpm::RowResult;

}  // namespace

extern "C" {

size_t qpi_result_rows(const qpi_result* r) { return r ? r->result.rows.size() : 0; }
uint64_t qpi_result_shots(const qpi_result* r) { return r ? r->result.shots : 0; }
uint32_t qpi_result_bits(const qpi_result* r) { return r ? r->result.num_bits : 0; }
uint64_t qpi_result_seed(const qpi_result* r) { return r ? r->result.seed : 0; }
const char* qpi_result_device(const qpi_result* r) { return r ? r->result.device.c_str() : ""; }
const char* qpi_result_method(const qpi_result* r) { return r ? r->result.method.c_str() : ""; }
const char* qpi_result_method_reason(const qpi_result* r) { return r ? r->result.method_reason.c_str() : ""; }
const char* qpi_result_calibration(const qpi_result* r) { return r ? r->result.calibration_set.c_str() : ""; }
size_t qpi_result_row_bytes(const qpi_result* r) { return r ? width(r) : 0; }

int qpi_result_timing(const qpi_result* result, qpi_timing* timing) {
  return guard([&] {
    const auto& t = need(result, "result").result.timing;
    const qpi_timing checked = read(&need(timing, "timing"), qpi_timing QPI_TIMING_INIT, "qpi_timing");
    const qpi_timing filled = {checked.size,  t.convert_ns, t.tools_ns,  t.transfer_ns, t.queue_ns,
                               t.dispatch_ns, t.execute_ns, t.return_ns, t.total_ns()};
    std::memcpy(timing, &filled, std::min(checked.size, sizeof filled));
    return 0;
  });
}

size_t qpi_result_devices(const qpi_result* r) { return r ? 1 + r->others.size() : 0; }

const qpi_result* qpi_result_of_device(const qpi_result* r, size_t index) {
  if (!r || index > r->others.size()) return nullptr;
  return index == 0 ? r : &r->others[index - 1];
}

int qpi_result_error(const qpi_result* result, const char** message) {
  return guard([&] {
    const auto& r = need(result, "result");
    return say(r.whole ? r.whole : r.result.failure, message);
  });
}

int qpi_result_row_error(const qpi_result* result, size_t row, const char** message) {
  return guard([&] { return say(row_of(result, row).failure, message); });
}

int64_t qpi_result_num_counts(const qpi_result* result, size_t row) {
  return guard([&] { return static_cast<int64_t>(row_of(result, row).counts.size()); });
}

int qpi_result_count(const qpi_result* result, size_t row, size_t index, char* bits, size_t size, uint64_t* count) {
  return guard([&] {
    const auto& from = row_of(result, row);
    const size_t n = result->result.num_bits;
    if (index >= from.counts.size())
      throw qfw::Error(ErrorCode::kInvalidArgument, "index is " + std::to_string(index) + "; the row has " +
                                                        std::to_string(from.counts.size()) + " outcomes");
    if (size < n + 1)
      throw qfw::Error(ErrorCode::kInvalidArgument,
                       "size is " + std::to_string(size) + "; " + std::to_string(n + 1) + " bytes are needed");
    need(bits, "bits");
    const uint8_t* key = from.count_keys.data() + index * width(result);
    for (size_t b = 0; b < n; ++b) bits[n - 1 - b] = static_cast<char>('0' + ((key[b / 8] >> (b % 8)) & 1));
    bits[n] = '\0';
    if (count) *count = from.counts[index];
    return 0;
  });
}

int64_t qpi_result_counts(const qpi_result* r, size_t row, const uint64_t** data) {
  return point(r, row, data, &Row::counts);
}
int64_t qpi_result_count_keys(const qpi_result* r, size_t row, const uint8_t** data) {
  return point(r, row, data, &Row::count_keys);
}
int64_t qpi_result_memory(const qpi_result* r, size_t row, const uint8_t** data) {
  return point(r, row, data, &Row::memory);
}
int64_t qpi_result_probabilities(const qpi_result* r, size_t row, const double** data) {
  return point(r, row, data, &Row::probabilities);
}
int64_t qpi_result_statevector(const qpi_result* r, size_t row, const double** data) {
  return point(r, row, data, &Row::statevector);
}
int64_t qpi_result_expectations(const qpi_result* r, size_t row, const double** data) {
  return point(r, row, data, &Row::expectations);
}
int64_t qpi_result_gradients(const qpi_result* r, size_t row, const double** data) {
  return point(r, row, data, &Row::gradients);
}

void qpi_result_close(qpi_result* result) { delete result; }

}  // extern "C"
