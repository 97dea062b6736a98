// Groups over TCP, by gloo, for tensors in the memory of the machine.

#include "group.h"

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

using Gloo = c10d::ProcessGroupGloo;

// Waits for all processes, and connects them with each other. This one is reached at `local`, an address of its machine,
// or where c10d's own variables say, if that is null.
extern "C" char *llada_c10d_join_gloo(llada_store *store, const char *local, int rank, int world_size,
                                      const char *prefix, int64_t timeout_ms, llada_group **out) {
  return guarded([&] {
    using Clock = std::chrono::steady_clock;
    std::chrono::milliseconds timeout(timeout_ms);
    // Gloo waits several times as long as it is told for a process that does not come, so nobody is waited for there.
    auto connecting = std::min<std::chrono::milliseconds>(timeout, std::chrono::minutes(1));
    auto options = local ? Gloo::Options::create(connecting) : Gloo::Options::create_default(connecting);
    if (local) options->devices.push_back(Gloo::createDeviceForHostname(local));
    auto keys = c10::make_intrusive<c10d::PrefixStore>(prefix, store->store);
    auto key = [](int rank) { return "rank " + std::to_string(rank); };
    auto end = Clock::now() + timeout;
    keys->set(key(rank), std::vector<uint8_t>{1});
    for (int other = 0; other < world_size; ++other) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
      // No time at all would be no limit.
      keys->wait({key(other)}, std::max(left, std::chrono::milliseconds(1)));
    }
    auto gloo = c10::make_intrusive<Gloo>(keys, rank, world_size, options);
    gloo->setTimeout(timeout);
    *out = new llada_group(gloo);
  });
}
