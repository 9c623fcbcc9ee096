// C API: programs.
#include <numeric>

#include "qpi/native/capi.h"

using namespace qfw::qpi::capi;
using qfw::Error;
using qfw::ErrorCode;
namespace program = qfw::program;

namespace {

program::GateId id_of(int gate) {
  if (gate < 0 || gate >= static_cast<int>(program::GateId::kCount))
    throw Error(ErrorCode::kUnknownGate, "gate " + std::to_string(gate) + " is not one of enum qpi_gate, 0 to " +
                                             std::to_string(static_cast<int>(program::GateId::kCount) - 1));
  return static_cast<program::GateId>(gate);
}

// Runs `change(builder)` on a program that can still be added to.
template <class Change>
auto change(qpi_program* handle, Change&& body) {
  return guard([&] {
    auto& program = need(handle, "program");
    std::lock_guard lock(program.mutex);
    if (!program.builder)
      throw Error(ErrorCode::kUnsupported, "a program made of its packed form cannot be added to; build a new one");
    program.finished.reset();
    return body(*program.builder);
  });
}

void add_gate(program::ProgramBuilder& builder, int gate, uint16_t controls, const uint32_t* qubits,
              const std::vector<program::Angle>& angles) {
  const auto& row = program::gate(id_of(gate));
  builder.gate(row.id, array(qubits, size_t{row.qubits} + controls, "qubits"), angles, controls);
}

}  // namespace

program::ProgramPtr qpi_program::program() {
  std::lock_guard lock(mutex);
  if (!finished) finished = builder->finish();
  return finished;
}

extern "C" {

int qpi_program_open(qpi_context* context, uint32_t num_qubits, uint32_t num_bits, qpi_program** handle) {
  return guard([&] {
    need(handle, "program") = nullptr;
    need(context, "context");
    auto made = std::make_unique<qpi_program>();
    made->builder.emplace(num_qubits, num_bits);
    made->num_qubits = num_qubits;
    made->num_bits = num_bits;
    *handle = made.release();
    return 0;
  });
}

int qpi_program_decode(qpi_context* context, const void* bytes, size_t size, qpi_program** handle) {
  return guard([&] {
    need(handle, "program") = nullptr;
    need(context, "context");
    auto made = std::make_unique<qpi_program>();
    made->finished = program::Program::decode(array(static_cast<const std::byte*>(bytes), size, "bytes"));
    made->num_qubits = made->finished->num_qubits();
    made->num_bits = made->finished->num_bits();
    *handle = made.release();
    return 0;
  });
}

int qpi_program_load(qpi_context* context, const char* text, qpi_program** handle) {
  return guard([&]() -> int {
    need(handle, "program") = nullptr;
    need(context, "context");
    need(text, "text");
    throw Error(ErrorCode::kUnsupported,
                "reading OpenQASM text from C needs the Toolchain service, which this version does not have: build the "
                "program gate by gate (qpi/program.h), or convert it with Python's qfw.toolchain");
  });
}

int64_t qpi_program_parameter(qpi_program* handle, const char* name) {
  return change(handle, [&](auto& builder) { return static_cast<int64_t>(builder.parameter(name ? name : "")); });
}

int qpi_program_register(qpi_program* handle, const char* name, uint32_t first, uint32_t size) {
  return change(handle, [&](auto& builder) {
    builder.add_register(&need(name, "name"), first, size);
    return 0;
  });
}

int qpi_program_gate(qpi_program* handle, int gate, const uint32_t* qubits, const double* params) {
  return change(handle, [&](auto& builder) {
    std::vector<program::Angle> angles;
    for (double value : array(params, program::gate(id_of(gate)).params, "params")) angles.push_back({value});
    add_gate(builder, gate, 0, qubits, angles);
    return 0;
  });
}

int qpi_program_gate_with(qpi_program* handle, int gate, uint16_t controls, const uint32_t* qubits,
                          const qpi_angle* given) {
  return change(handle, [&](auto& builder) {
    std::vector<program::Angle> angles;
    for (const auto& a : array(given, program::gate(id_of(gate)).params, "angles"))
      angles.push_back({a.offset, a.parameter == QPI_NO_PARAMETER ? 0.0 : a.scale, a.parameter});
    add_gate(builder, gate, controls, qubits, angles);
    return 0;
  });
}

int qpi_program_unitary(qpi_program* handle, const double* matrix, size_t num_targets, uint16_t controls,
                        const uint32_t* qubits) {
  return change(handle, [&](auto& builder) {
    if (num_targets != 1 && num_targets != 2)
      throw Error(ErrorCode::kInvalidArgument, "num_targets is " + std::to_string(num_targets) + "; 1 or 2 is allowed");
    const size_t entries = size_t{1} << (2 * num_targets);
    const auto values = array(matrix, 2 * entries, "matrix");
    std::vector<program::Complex> made;
    for (size_t i = 0; i < entries; ++i) made.emplace_back(values[2 * i], values[2 * i + 1]);
    builder.unitary(made, array(qubits, num_targets + controls, "qubits"), controls);
    return 0;
  });
}

int qpi_program_measure(qpi_program* handle, uint32_t qubit, uint32_t bit) {
  return change(handle, [&](auto& builder) {
    builder.measure(qubit, bit);
    return 0;
  });
}

int qpi_program_measure_all(qpi_program* handle) {
  return change(handle, [&](auto& builder) {
    if (handle->num_bits < handle->num_qubits)
      throw Error(ErrorCode::kInvalidArgument, "the program has " + std::to_string(handle->num_bits) + " bits for " +
                                                   std::to_string(handle->num_qubits) + " qubits; as many are needed");
    for (uint32_t i = 0; i < handle->num_qubits; ++i) builder.measure(i, i);
    return 0;
  });
}

int qpi_program_reset(qpi_program* handle, uint32_t qubit) {
  return change(handle, [&](auto& builder) {
    builder.reset(qubit);
    return 0;
  });
}

int qpi_program_barrier(qpi_program* handle, const uint32_t* qubits, size_t count) {
  return change(handle, [&](auto& builder) {
    std::vector<uint32_t> all(qubits ? 0 : handle->num_qubits);
    std::iota(all.begin(), all.end(), 0u);
    builder.barrier(qubits ? std::span(qubits, count) : std::span<const uint32_t>(all));
    return 0;
  });
}

int qpi_program_global_phase(qpi_program* handle, double radians) {
  return change(handle, [&](auto& builder) {
    builder.global_phase(radians);
    return 0;
  });
}

int qpi_gate_qubits(int gate) {
  return guard([&] { return static_cast<int>(program::gate(id_of(gate)).qubits); });
}

int qpi_gate_params(int gate) {
  return guard([&] { return static_cast<int>(program::gate(id_of(gate)).params); });
}

const char* qpi_gate_name(int gate) {
  if (gate < 0 || gate >= static_cast<int>(program::GateId::kCount)) return nullptr;
  return program::gate(static_cast<program::GateId>(gate)).name.data();  // of a literal: ends in a zero byte
}

int qpi_program_bytes(qpi_program* handle, const void** bytes, size_t* size) {
  return guard([&] {
    const auto all = need(handle, "program").program()->bytes();
    need(bytes, "bytes") = all.data();
    need(size, "size") = all.size();
    return 0;
  });
}

uint32_t qpi_program_num_qubits(const qpi_program* handle) { return handle ? handle->num_qubits : 0; }
uint32_t qpi_program_num_bits(const qpi_program* handle) { return handle ? handle->num_bits : 0; }
void qpi_program_close(qpi_program* handle) { delete handle; }

}  // extern "C"
