// What tch does not bind: the process groups of libtorch's c10d, over gloo. Every function returns null, or an error text
// that the caller frees. What is started is waited for by `llada_c10d_wait`, which returns once all processes have made the
// same call.

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace {

using Gloo = c10d::ProcessGroupGloo;

template <class F>
char *guarded(F f) {
  try {
    f();
    return nullptr;
  } catch (const c10::Error &e) {
    return strdup(e.what_without_backtrace());
  } catch (const std::exception &e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("unknown C++ exception");
  }
}

}  // namespace

extern "C" {

struct llada_group {
  c10::intrusive_ptr<c10d::TCPStore> store;
  c10::intrusive_ptr<Gloo> gloo;
};

void llada_c10d_free(char *text) { free(text); }

void llada_c10d_leave(llada_group *group) { delete group; }

// Connects to the store at which the processes meet, once it is there.
char *llada_c10d_meet(const char *address, uint16_t port, bool serves, int world_size, int64_t timeout_ms,
                      llada_group **out) {
  return guarded([&] {
    // A library does not print, and what c10d would log is in the errors. TORCH_CPP_LOG_LEVEL brings it back.
    FLAGS_caffe2_log_level = c10::GLOG_FATAL;
    c10::initLogging();
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves;
    options.numWorkers = world_size;
    options.waitWorkers = false;
    options.timeout = std::chrono::milliseconds(timeout_ms);
    *out = new llada_group{c10::make_intrusive<c10d::TCPStore>(address, options), nullptr};
  });
}

// Waits for all processes, and connects them with each other. This one is reached at `local`, an address of its machine,
// or where c10d's own variables say, if that is null.
char *llada_c10d_join(llada_group *group, const char *local, int rank, int world_size, const char *prefix,
                      int64_t timeout_ms) {
  return guarded([&] {
    using Clock = std::chrono::steady_clock;
    std::chrono::milliseconds timeout(timeout_ms);
    // Gloo waits several times as long as it is told for a process that does not come, so nobody is waited for there.
    auto connecting = std::min<std::chrono::milliseconds>(timeout, std::chrono::minutes(1));
    auto options = local ? Gloo::Options::create(connecting) : Gloo::Options::create_default(connecting);
    if (local) options->devices.push_back(Gloo::createDeviceForHostname(local));
    auto store = c10::make_intrusive<c10d::PrefixStore>(prefix, group->store);
    auto key = [](int rank) { return "rank " + std::to_string(rank); };
    auto end = Clock::now() + timeout;
    store->set(key(rank), std::vector<uint8_t>{1});
    for (int other = 0; other < world_size; ++other) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
      // No time at all would be no limit.
      store->wait({key(other)}, std::max(left, std::chrono::milliseconds(1)));
    }
    group->gloo = c10::make_intrusive<Gloo>(store, rank, world_size, options);
    group->gloo->setTimeout(timeout);
  });
}

// A call that was started. It keeps its tensors alive.
struct llada_work {
  c10::intrusive_ptr<c10d::Work> work;
  std::vector<at::Tensor> tensors;
};

void llada_c10d_forget(llada_work *work) { delete work; }

char *llada_c10d_wait(llada_work *work) {
  return guarded([&] { work->work->wait(); });
}

// Starts the sum over all processes, in place.
char *llada_c10d_all_reduce(llada_group *group, at::Tensor *tensor, llada_work **out) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{*tensor};
    auto work = group->gloo->allreduce(tensors);
    *out = new llada_work{work, tensors};
  });
}

// Starts to send what process `root` has, in place.
char *llada_c10d_broadcast(llada_group *group, at::Tensor *tensor, int root, llada_work **out) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{*tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    auto work = group->gloo->broadcast(tensors, options);
    *out = new llada_work{work, tensors};
  });
}

// What every process has as `in`, one after another; `out` is world_size times as large.
char *llada_c10d_all_gather(llada_group *group, at::Tensor *out, const at::Tensor *in) {
  return guarded([&] {
    at::Tensor all = *out, own = *in;
    group->gloo->_allgather_base(all, own)->wait();
  });
}

}  // extern "C"
