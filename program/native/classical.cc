#include "program/native/classical.h"

#include <bit>
#include <cmath>

#include "program/native/error.h"

namespace qfw::program {
namespace {

constexpr ComputeRow kRows[] = {
#define QFW_COMPUTE(id, number, name, operands, rule) {name, operands, ComputeRule::rule},
#include "program/native/classical.def"
#undef QFW_COMPUTE
};
static_assert(std::size(kRows) == static_cast<size_t>(Compute::kCount));

constexpr std::string_view kTypes[] = {"int", "float", "bool"};

bool all_are(std::span<const Operand> operands, VariableType type) {
  for (const Operand& o : operands) {
    if (o.type != type) return false;
  }
  return true;
}

bool one_of(VariableType type, VariableType a, VariableType b) { return type == a || type == b; }

constexpr auto kInt = VariableType::kInteger;
constexpr auto kReal = VariableType::kFloat;
constexpr auto kBool = VariableType::kBoolean;

bool fits(ComputeRule rule, VariableType to, std::span<const Operand> from) {
  switch (rule) {
    case ComputeRule::kSame:
      return all_are(from, to);
    case ComputeRule::kLogic:
      return one_of(to, kBool, kInt) && all_are(from, to);
    case ComputeRule::kInteger:
      return to == kInt && all_are(from, kInt);
    case ComputeRule::kNumber:
      return one_of(to, kInt, kReal) && all_are(from, to);
    case ComputeRule::kEquality:
      return to == kBool && all_are(from, from[0].type);
    case ComputeRule::kOrder:
      return to == kBool && one_of(from[0].type, kInt, kReal) && all_are(from, from[0].type);
    case ComputeRule::kSelect:
      return from[0].type == kBool && all_are(from.subspan(1), to);
    case ComputeRule::kToInteger:
      return to == kInt;
    case ComputeRule::kToFloat:
      return to == kReal;
    case ComputeRule::kToBoolean:
      return to == kBool;
  }
  return false;
}

constexpr const char* kWants[] = {"an operand of the destination's type",
                                  "booleans only or integers only",
                                  "integers",
                                  "integers only or floats only",
                                  "two operands of one type and a boolean destination",
                                  "two integers or two floats and a boolean destination",
                                  "a boolean and two operands of the destination's type",
                                  "an integer destination",
                                  "a float destination",
                                  "a boolean destination"};

template <typename Rows>
std::string known(const Rows& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

}  // namespace

std::string_view type_name(VariableType type) noexcept { return kTypes[static_cast<size_t>(type)]; }

VariableType type_named(std::string_view name) {
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    if (kTypes[i] == name) return static_cast<VariableType>(i);
  }
  throw Error(ErrorCode::kInvalidArgument,
              "unknown type of variable '" + std::string(name) + "'; known: " + known(kTypes));
}

const ComputeRow& compute_row(Compute op) noexcept { return kRows[static_cast<size_t>(op)]; }

Compute compute_named(std::string_view name) {
  std::string names;
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (kRows[i].name == name) return static_cast<Compute>(i);
    names += (i == 0 ? "" : ", ") + std::string(kRows[i].name);
  }
  throw Error(ErrorCode::kInvalidArgument, "unknown computation '" + std::string(name) + "'; known: " + names);
}

std::string type_error(Compute op, VariableType destination, std::span<const Operand> operands) {
  const ComputeRow& row = compute_row(op);
  if (fits(row.rule, destination, operands)) return "";
  std::string found;
  for (const Operand& o : operands) found += (found.empty() ? "" : ", ") + std::string(type_name(o.type));
  return "'" + std::string(row.name) + "' takes " + kWants[static_cast<size_t>(row.rule)] + ", got (" + found +
         ") into a variable of type " + std::string(type_name(destination));
}

bool valid_value(VariableType type, uint64_t bits) noexcept {
  if (type == VariableType::kFloat) return std::isfinite(std::bit_cast<double>(bits));
  return type != VariableType::kBoolean || bits <= 1;
}

}  // namespace qfw::program
