#include "program/native/program.h"

#include <openssl/evp.h>

#include <cstring>

#include "program/native/decode.h"

namespace qfw::program {
namespace {

// SHA-256 of `bytes`. The algorithm is fetched once and the context kept: small programs are hashed in a loop.
Hash sha256(std::span<const std::byte> bytes) {
  struct Context {
    EVP_MD_CTX* md = EVP_MD_CTX_new();
    ~Context() { EVP_MD_CTX_free(md); }
  };
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const Context context;
  Hash hash;
  if (algorithm == nullptr || context.md == nullptr || EVP_DigestInit_ex(context.md, algorithm, nullptr) != 1 ||
      EVP_DigestUpdate(context.md, bytes.data(), bytes.size()) != 1 ||
      EVP_DigestFinal_ex(context.md, hash.data(), nullptr) != 1) {
    throw Error(ErrorCode::kInternal, "OpenSSL could not compute a SHA-256");
  }
  return hash;
}

}  // namespace

struct Program::Impl {
  Parts parts;
  Hash hash{};
};

Program::Program(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Program::~Program() = default;

std::shared_ptr<const Program> Program::decode(std::span<const std::byte> bytes) {
  // Not make_unique: it would clear what is about to be written. operator new[] aligns to 16.
  std::unique_ptr<std::byte[]> copy(new std::byte[bytes.size()]);
  if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
  return decode(std::move(copy), bytes.size());
}

std::shared_ptr<const Program> Program::decode(std::unique_ptr<std::byte[]> bytes, size_t size) {
  auto impl = std::make_unique<Impl>();
  impl->parts.bytes = std::move(bytes);
  impl->parts.size = size;
  decode_parts(impl->parts);
  impl->hash = sha256({impl->parts.bytes.get(), size});
  return std::shared_ptr<const Program>(new Program(std::move(impl)));
}

std::span<const std::byte> Program::bytes() const noexcept { return {impl_->parts.bytes.get(), impl_->parts.size}; }
const Hash& Program::hash() const noexcept { return impl_->hash; }
uint32_t Program::num_qubits() const noexcept { return impl_->parts.header.num_qubits; }
uint32_t Program::num_bits() const noexcept { return impl_->parts.header.num_bits; }
uint32_t Program::num_parameters() const noexcept { return impl_->parts.header.num_parameters; }
std::span<const std::string> Program::parameters() const noexcept { return impl_->parts.parameters; }
std::span<const Register> Program::registers() const noexcept { return impl_->parts.registers; }
std::span<const Block> Program::blocks() const noexcept {
  return impl_->parts.dynamic ? std::span<const Block>(impl_->parts.blocks) : std::span(&impl_->parts.only_block, 1);
}
std::span<const Variable> Program::variables() const noexcept { return impl_->parts.variables; }
bool Program::dynamic() const noexcept { return impl_->parts.dynamic; }
std::span<const Instruction> Program::instructions() const noexcept { return impl_->parts.instructions; }
double Program::global_phase() const noexcept { return impl_->parts.header.global_phase; }
bool Program::terminal_measurements() const noexcept { return impl_->parts.terminal_measurements; }

}  // namespace qfw::program
