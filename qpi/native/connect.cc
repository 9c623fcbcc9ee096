#include "qpi/native/connect.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "qpi/native/endpoint.h"

namespace qfw::qpi {
namespace fs = std::filesystem;
namespace {

constexpr double kHeld = 30.0;       // seconds to wait for a runtime whose place somebody holds
constexpr double kPermitted = 10.0;  // a daemon sends clients away that ping more often
constexpr double kFree = 3.0;        // and for one that nobody is known to bring back

std::optional<double> seconds_of(const char* name, double least = 0.0) {
  const char* text = std::getenv(name);
  if (!text || !*text) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (*end || !std::isfinite(value) || value < least)
    throw Error(ErrorCode::kInvalidArgument, std::string("$") + name + " is \"" + text +
                                                 "\"; a number of seconds from " +
                                                 std::to_string(static_cast<int>(least)) + " is needed");
  return value;
}

// `known`: the run can be looked at from outside.
qpm::ConnectOptions options_of(const ConnectWish& wish, bool known) {
  qpm::ConnectOptions options;
  options.timeout_s = wish.timeout_s;
  options.keepalive_s = seconds_of("QFW_KEEPALIVE", kPermitted).value_or(options.keepalive_s);
  const auto wanted = wish.reconnect_s ? wish.reconnect_s : seconds_of("QFW_RECONNECT");
  options.reconnect_s = wanted.value_or(known ? kHeld : 0.0);
  options.dead_s = wanted.value_or(kFree);
  return options;
}

}  // namespace

std::shared_ptr<qpm::Session> open_session(const std::string& endpoint, const ConnectWish& wish) {
  if (endpoint == "embedded") return qpm::embedded_session();
  if (endpoint.rfind("unix:", 0) == 0) return qpm::connect_session(endpoint, options_of(wish, false));
  const auto found = endpoint.empty() ? find_endpoint() : read_endpoint(endpoint);
  if (!found) return qpm::embedded_session();
  auto [address, tls] = reach(*found);
  const std::string file = fs::absolute(found->path).string();
  const bool known = fs::exists(fs::path(file).replace_filename("lock"));
  qpm::ConnectOptions options = options_of(wish, known);
  options.tls = std::move(tls);
  if (known) options.locate = [file] { return sight(file); };
  return qpm::connect_session(address, options);
}

}  // namespace qfw::qpi
