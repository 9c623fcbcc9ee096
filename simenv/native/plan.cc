#include "simenv/native/plan.h"

#include <bit>
#include <cmath>

#include "simenv/native/fuse.h"
#include "simenv/native/window.h"

namespace qfw::simenv {

using program::Complex;
using program::Gate;
using program::GateId;
using program::Instruction;
using program::Op;

namespace {

// The diagonal d of 1, 2 or 4 entries as factors: d[i] is the product of out[s] over the subsets s of the bits of i.
void factors_of(const Complex* matrix, unsigned dim, Complex* out) {
  for (unsigned i = 0; i < dim; ++i) out[i] = matrix[i * dim + i];
  if (dim == 4) out[3] = out[3] * out[0] / (out[1] * out[2]);
  for (unsigned i = 1; i < dim && i < 3; ++i) out[i] /= out[0];
}

}  // namespace

Form form_of(const Complex* m, unsigned dim) {
  bool diagonal = true, real = true, cross = true, ones = true;
  for (unsigned r = 0; r < dim; ++r)
    for (unsigned c = 0; c < dim; ++c) {
      const Complex v = m[r * dim + c];
      if (r != c && v != 0.0) diagonal = false;
      if (v.imag() != 0.0) real = false;
      if ((r == c ? v.imag() : v.real()) != 0.0) cross = false;
      if (v != 0.0 && v != 1.0) ones = false;
    }
  if (diagonal) {
    Form form{Kind::kPhase};
    Complex f[4];
    factors_of(m, dim, f);
    for (unsigned s = 0; s < dim; ++s)
      if (std::abs(f[s] - 1.0) > 1e-15) form.factors |= 1u << s;
    return form;
  }
  if (dim == 2) {
    if (ones && m[0] == 0.0 && m[3] == 0.0) return {Kind::kFlip};
    return {Kind::kDense1, real ? Shape::kReal : cross ? Shape::kCross : Shape::kGeneral};
  }
  if (ones && m[0] == 1.0 && m[6] == 1.0 && m[9] == 1.0 && m[15] == 1.0) return {Kind::kSwap};
  return {Kind::kDense2};
}

namespace {

// The form of a gate with parameters, seen at two points that no identity between angles relates.
Form parametric_form(const Gate& gate) {
  const double points[2][4] = {{0.7310585, 1.9235711, -0.4172029, 2.6457513},
                               {-1.3247179, 0.2906713, 1.1371412, -0.8093017}};
  Form forms[2];
  for (int i = 0; i < 2; ++i) {
    Complex m[16];
    gate.matrix(points[i], m);
    forms[i] = form_of(m, 1u << (gate.qubits - gate.controls));
  }
  Form form = forms[0];
  form.factors |= forms[1].factors;
  if (forms[0].shape != forms[1].shape) form.shape = Shape::kGeneral;
  return form;
}

const Form& form_of_gate(const Gate& gate) {
  static const std::vector<Form> table = [] {
    std::vector<Form> forms;
    for (const Gate& row : program::gates()) forms.push_back(parametric_form(row));
    return forms;
  }();
  return table[static_cast<size_t>(gate.id)];
}

class Planner {
 public:
  Planner(unsigned qubits, uint32_t bits, double phase, std::span<const Instruction> instructions)
      : instructions_(instructions) {
    plan_.qubits = qubits;
    plan_.bits = bits;
    plan_.global = std::polar(1.0, phase);
    plan_.ops.reserve(instructions.size());
  }

  Plan make() {
    sort_measurements();
    size_t index = 0;
    for (const Instruction& in : instructions_) {
      if (in.op == Op::kGate || in.op == Op::kUnitary) {
        add_gate(in);
      } else if (in.op == Op::kMeasure || in.op == Op::kReset) {
        add_event(in, index);
      }
      ++index;
    }
    end_segment();
    return std::move(plan_);
  }

 private:
  // A measurement is read at the end when nothing happens to its qubit afterwards; it is left out altogether when,
  // besides, its bit is written again.
  void sort_measurements() {
    bool any = false;
    for (const Instruction& in : instructions_) any |= in.op == Op::kMeasure || in.op == Op::kReset;
    if (!any) return;
    late_.assign(instructions_.size(), false);
    kept_.assign(instructions_.size(), false);
    touched_.assign(plan_.qubits, false);
    std::vector<bool> acted(plan_.qubits, false), written(plan_.bits, false);
    for (size_t i = instructions_.size(); i-- > 0;) {
      const Instruction& in = instructions_[i];
      if (in.op == Op::kBarrier) continue;
      if (in.op == Op::kMeasure) {
        late_[i] = !acted[in.qubits[0]];
        kept_[i] = !written[in.bits[0]];
        written[in.bits[0]] = true;
        read_.resize(plan_.qubits);
        if (kept_[i]) read_[in.qubits[0]] = true;
      } else if (in.op == Op::kReset) {  // late ones are left out: nobody looks at the qubit any more
        late_[i] = !acted[in.qubits[0]] && !(in.qubits[0] < read_.size() && read_[in.qubits[0]]);
        acted[in.qubits[0]] = true;
      } else {
        for (uint32_t q : in.qubits) acted[q] = true;
      }
    }
  }

  void end_segment() {
    const uint32_t first = plan_.segments.empty() ? 0 : plan_.segments.back().last_op;
    plan_.segments.push_back({first, static_cast<uint32_t>(plan_.ops.size())});
  }

  void add_event(const Instruction& in, size_t index) {
    const uint32_t qubit = in.qubits[0];
    const bool reset = in.op == Op::kReset;
    if (reset && !touched_[qubit]) return;  // it is |0> already
    if (reset) plan_.has_reset = true;
    const uint32_t bit = reset || !kept_[index] ? kNowhere : in.bits[0];
    if (late_[index]) {
      if (bit != kNowhere) plan_.final_bits.push_back({qubit, bit});
      return;
    }
    plan_.events.push_back({qubit, bit, reset});
    end_segment();
  }

  void add_gate(const Instruction& in) {
    if (!touched_.empty())
      for (uint32_t q : in.qubits) touched_[q] = true;
    unsigned own_controls = 0, dim = in.matrix.size() == 4 ? 2 : 4;
    Complex matrix[16];
    Form form;
    bool dynamic = false;
    if (in.op == Op::kGate) {
      const Gate& gate = program::gate(in.gate);
      own_controls = gate.controls;
      dim = 1u << (gate.qubits - gate.controls);
      for (const auto& angle : in.angles) dynamic |= !angle.constant();
      if (dynamic) {
        form = form_of_gate(gate);
      } else {
        double values[4] = {};
        for (size_t i = 0; i < in.angles.size(); ++i) values[i] = in.angles[i].offset;
        gate.matrix(values, matrix);
        form = form_of(matrix, dim);
      }
    } else {
      for (unsigned i = 0; i < dim * dim; ++i) matrix[i] = in.matrix[i];
      form = form_of(matrix, dim);
    }
    const size_t controls = size_t{in.controls} + own_controls;
    uint64_t mask = 0;
    for (size_t i = 0; i < controls; ++i) mask |= uint64_t{1} << in.qubits[i];
    const uint32_t* targets = in.qubits.data() + controls;
    if (form.kind == Kind::kPhase) {
      add_phases(in, form, mask, targets, dim, dynamic ? nullptr : matrix);
    } else {
      add_matrix(in, form, mask, targets, dim, dynamic ? nullptr : matrix);
    }
  }

  // `matrix` null: it has parameters.
  void add_phases(const Instruction& in, const Form& form, uint64_t controls, const uint32_t* targets, unsigned dim,
                  const Complex* matrix) {
    Recipe recipe{&in, true};
    Complex factors[4];
    if (matrix != nullptr) factors_of(matrix, dim, factors);
    for (unsigned s = 0; s < dim; ++s) {
      if ((form.factors >> s & 1) == 0) continue;
      uint64_t mask = controls;
      if (s & 1) mask |= uint64_t{1} << targets[0];
      if (s & 2) mask |= uint64_t{1} << targets[1];
      if (mask == 0) {
        if (matrix != nullptr) {
          plan_.global *= factors[0];
        } else {
          recipe.at[s] = 0;
        }
        continue;
      }
      PlanOp op;
      op.mask = mask;
      op.joint = dim == 4;
      op.dynamic = matrix == nullptr;
      op.at = op.dynamic ? plan_.room(2) : plan_.constant(&factors[s], 1);
      if (op.dynamic) recipe.at[s] = op.at;
      plan_.ops.push_back(op);
    }
    if (matrix == nullptr) plan_.recipes.push_back(recipe);
  }

  void add_matrix(const Instruction& in, const Form& form, uint64_t controls, const uint32_t* targets, unsigned dim,
                  const Complex* matrix) {
    PlanOp op{form.kind, form.shape, matrix == nullptr, false, static_cast<uint8_t>(targets[0])};
    if (dim == 4) op.b = static_cast<uint8_t>(targets[1]);
    op.mask = controls;
    if (form.kind == Kind::kDense1 || form.kind == Kind::kDense2) {
      op.at = matrix == nullptr ? plan_.room(2 * dim * dim) : plan_.constant(matrix, dim * dim);
      if (matrix == nullptr) plan_.recipes.push_back({&in, false, {op.at, kNowhere, kNowhere, kNowhere}});
    }
    plan_.ops.push_back(op);
  }

  const std::span<const Instruction> instructions_;
  Plan plan_;
  std::vector<bool> late_, kept_, touched_;
  std::vector<bool> read_;  // by a measurement that is kept
};

}  // namespace

void Plan::evaluate(std::span<const double> row, double* pool) const {
  pool[0] = global.real();
  pool[1] = global.imag();
  Complex* values = reinterpret_cast<Complex*>(pool);
  for (const Recipe& recipe : recipes) {
    const Instruction& in = *recipe.source;
    const Gate& gate = program::gate(in.gate);
    double angles[4] = {};
    for (size_t i = 0; i < in.angles.size(); ++i) angles[i] = in.angles[i].value(row);
    if (!recipe.diagonal) {
      gate.matrix(angles, values + recipe.at[0] / 2);
      continue;
    }
    Complex matrix[16], factors[4];
    const unsigned dim = 1u << (gate.qubits - gate.controls);
    gate.matrix(angles, matrix);
    factors_of(matrix, dim, factors);
    for (unsigned s = 0; s < dim; ++s) {
      if (recipe.at[s] == kNowhere) continue;
      Complex& value = values[recipe.at[s] / 2];
      value = recipe.at[s] == 0 ? value * factors[s] : factors[s];
    }
  }
  for (const Product& product : products) multiply(*this, product, pool, pool + product.at);
}

uint64_t Exchange::moved(uint64_t mask) const noexcept {
  for (const auto& [p, q] : pairs)
    if ((mask >> p & 1) != (mask >> q & 1)) mask ^= uint64_t{1} << p | uint64_t{1} << q;
  return mask;
}

namespace {

Plan fused(Plan plan) {
  if (plan.qubits >= kFuseQubits) fuse(plan);
  return plan;
}

}  // namespace

Plan fused_plan(const program::Program& program) {
  return fused(
      Planner(program.num_qubits(), program.num_bits(), program.global_phase(), program.instructions()).make());
}

Plan fused_plan(unsigned qubits, std::span<const Instruction> gates) {
  return fused(Planner(qubits, 0, 0.0, gates).make());
}

Plan make_plan(const program::Program& program, unsigned block_bits) {
  Plan plan = fused_plan(program);
  make_windows(plan, block_bits != 0 ? block_bits : default_block_bits(plan.qubits));
  return plan;
}

}  // namespace qfw::simenv
