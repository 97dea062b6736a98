// What tch does not bind: the process groups of libtorch's c10d, over gloo. Every function returns null, or an error text
// that the caller frees. What is started is waited for by `llada_c10d_wait`, which returns once all processes have made the
// same call.

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
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
  c10::intrusive_ptr<Gloo> gloo;
};

void llada_c10d_free(char *text) { free(text); }

void llada_c10d_leave(llada_group *group) { delete group; }

char *llada_c10d_join(const char *address, uint16_t port, bool serves, int rank, int world_size, const char *prefix,
                      int64_t timeout_ms, llada_group **out) {
  return guarded([&] {
    // A library does not print, and what c10d would log is in the errors. TORCH_CPP_LOG_LEVEL brings it back.
    FLAGS_caffe2_log_level = c10::GLOG_FATAL;
    c10::initLogging();
    std::chrono::milliseconds timeout(timeout_ms);
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves;
    options.numWorkers = world_size;
    options.waitWorkers = false;
    options.timeout = timeout;
    auto tcp = c10::make_intrusive<c10d::TCPStore>(address, options);
    auto store = c10::make_intrusive<c10d::PrefixStore>(prefix, tcp);
    *out = new llada_group{
        c10::make_intrusive<Gloo>(store, rank, world_size, Gloo::Options::create_default(timeout))};
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
