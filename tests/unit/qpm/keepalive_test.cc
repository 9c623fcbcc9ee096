// Silent connections: idle ones stay, and ones whose peer does not answer any more are noticed. A proxy between the two
// counts what the client sends, and becomes a black hole when told.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "qpm/native/server_grpc.h"
#include "tests/unit/qpm/fixture.h"

namespace qfw::qpm {
namespace {

using test::Client;
using test::counts_task;
using test::ghz;
using test::ManualDevice;

sockaddr_un at(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  std::strncpy(out.sun_path, path.c_str(), sizeof(out.sun_path) - 1);
  return out;
}

// Passes one connection on.
class Proxy {
 public:
  Proxy(const std::string& here, const std::string& there) : path_(here), listener_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    const auto own = at(here);
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&own), sizeof(own)), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    thread_ = std::thread([this, there] { serve(there); });
  }
  ~Proxy() {
    ended = true;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    unlink(path_.c_str());
  }

  std::atomic<bool> swallow{false};  // black hole
  std::atomic<bool> ended{false};
  std::atomic<int> heard{0};  // messages of the client

 private:
  void serve(const std::string& there) {
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    const int server = socket(AF_UNIX, SOCK_STREAM, 0);
    const auto peer = at(there);
    if (connect(server, reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)) == 0) {
      pollfd fds[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
      while (!ended) {
        poll(fds, 2, 20);
        if (fds[0].revents && !pass(client, server, &heard)) break;
        if (fds[1].revents && !pass(server, client, nullptr)) break;
      }
    }
    close(client);
    close(server);
  }
  bool pass(int from, int to, std::atomic<int>* count) {
    char buffer[65536];
    const ssize_t n = read(from, buffer, sizeof(buffer));
    if (n <= 0) return false;
    if (count) ++*count;
    return swallow || send(to, buffer, static_cast<size_t>(n), MSG_NOSIGNAL) == n;
  }

  const std::string path_;
  const int listener_;
  std::thread thread_;
};

class KeepaliveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    runtime = Runtime::make({.threads = 1});
    auto device = std::make_unique<ManualDevice>("manual");
    manual = device.get();
    runtime->add_device(std::move(device));
  }
  void TearDown() override {
    server.reset();
    for (auto& job : held) manual->give_back(job, {});
    runtime->stop();
    proxy.reset();
  }
  // A session through the proxy whose client pings every second, with one task that does not end.
  std::unique_ptr<Client> begin(double permit_s, double ping_s = 60.0) {
    const std::string there = folder / "server.sock", here = folder / "proxy.sock";
    server = std::make_unique<GrpcServer>(runtime, "unix:" + there, wire::Limits{}, TlsListen{},
                                          Keepalive{permit_s, ping_s});
    proxy = std::make_unique<Proxy>(here, there);
    ConnectOptions o;
    o.keepalive_s = ping_s < 60.0 ? 600.0 : 1.0;
    auto client = std::make_unique<Client>(connect_session("unix:" + here, o));
    client->session->open_stream(1, std::vector<DeviceId>{0}, Order::kParallel);
    client->submit(counts_task(1, ghz(2)));
    held = manual->take(1);
    return client;
  }
  // Until the client has sent so many pings more, or has lost its task.
  void hear(Client& client, int pings) {
    const int until = proxy->heard + pings;
    const auto end = std::chrono::steady_clock::now() + test::kPatience;
    while (proxy->heard < until && client.count() == 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  test::Folder folder;
  std::shared_ptr<Runtime> runtime;
  ManualDevice* manual = nullptr;
  std::unique_ptr<GrpcServer> server;
  std::unique_ptr<Proxy> proxy;
  std::vector<JobPtr> held;
};

TEST_F(KeepaliveTest, AnIdleSessionIsNotDropped) {
  auto client = begin(0.1);
  hear(*client, 5);  // two more than gRPC's server forgives
  ASSERT_EQ(client->count(), 0u);
  manual->give_back(held.at(0), {});
  held.clear();
  ASSERT_TRUE(client->wait(1));
  EXPECT_FALSE(client->take()[0].result.failure);
}

TEST_F(KeepaliveTest, PingsMoreOftenThanPermittedEndTheSession) {  // so the test above can fail
  auto client = begin(600.0);
  ASSERT_TRUE(client->wait(1));
  EXPECT_EQ(client->take()[0].result.failure.code, ErrorCode::kConnectionLost);
}

TEST_F(KeepaliveTest, TheClientNoticesABlackHole) {
  auto client = begin(0.1);
  proxy->swallow = true;
  ASSERT_TRUE(client->wait(1));
  EXPECT_EQ(client->take()[0].result.failure.code, ErrorCode::kConnectionLost);
}

TEST_F(KeepaliveTest, TheServerNoticesABlackHole) {
  auto client = begin(0.1, 0.5);
  proxy->swallow = true;
  const auto end = std::chrono::steady_clock::now() + test::kPatience;
  while (!held.at(0)->stop.requested() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(held.at(0)->stop.requested()) << "the task of a client that is gone goes on";
}

}  // namespace
}  // namespace qfw::qpm
