// Names of parameters, and registers.
#include <algorithm>

#include "program/native/decoder.h"

namespace qfw::program {

using format::RegisterRecord;

void Decoder::read_names() {
  const Header& h = p_.header;
  const auto sizes = section<uint32_t>(layout_.parameter_name_sizes, h.num_parameters);
  const auto registers = section<RegisterRecord>(layout_.registers, h.num_registers);
  uint64_t total = 0;
  for (const uint32_t size : sizes) total += size;
  for (const RegisterRecord& record : registers) total += record.name_size;
  if (total != h.name_bytes) {
    invalid("names take " + std::to_string(total) + " bytes, the header says " + std::to_string(h.name_bytes));
  }
  std::string_view names(reinterpret_cast<const char*>(p_.bytes.get() + layout_.names), h.name_bytes);
  p_.parameters.reserve(sizes.size());
  for (const uint32_t size : sizes) {
    const std::string_view name = names.substr(0, size);
    if (size > kMaxNameBytes) invalid("a parameter's name of " + std::to_string(size) + " bytes, the limit is 1024");
    if (!valid_utf8(name)) invalid("a parameter's name is not UTF-8");
    p_.parameters.emplace_back(name);
    names.remove_prefix(size);
  }
  if (!registers.empty()) read_registers(names);
}

void Decoder::read_registers(std::string_view names) {
  const Header& h = p_.header;
  p_.registers.reserve(h.num_registers);
  for (const RegisterRecord& record : section<RegisterRecord>(layout_.registers, h.num_registers)) {
    const std::string_view name = names.substr(0, record.name_size);
    names.remove_prefix(record.name_size);
    if (name.empty() || name.size() > kMaxNameBytes) {
      invalid("a register's name of " + std::to_string(name.size()) + " bytes, must be 1..1024");
    }
    if (!valid_utf8(name)) invalid("a register's name is not UTF-8");
    if (record.size == 0 || record.reserved != 0) invalid("register '" + std::string(name) + "' is empty");
    if (uint64_t{record.first} + record.size > h.num_bits) {
      invalid("register '" + std::string(name) + "' ends at bit " +
              std::to_string(uint64_t{record.first} + record.size) + ", the program has " + std::to_string(h.num_bits));
    }
    p_.registers.push_back({std::string(name), record.first, record.size});
  }
  std::vector<const Register*> order;
  for (const Register& r : p_.registers) order.push_back(&r);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->first < b->first; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->first + order[i - 1]->size > order[i]->first) {
      invalid("registers '" + order[i - 1]->name + "' and '" + order[i]->name + "' overlap");
    }
  }
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->name < b->name; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->name == order[i]->name) invalid("two registers are named '" + order[i]->name + "'");
  }
}

}  // namespace qfw::program
