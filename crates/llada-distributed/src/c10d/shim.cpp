// What tch does not bind: the collectives of libtorch's c10d, whatever carries them. Every function returns null, or an
// error text that the caller frees. What is started is waited for by `llada_c10d_wait`, which returns once this process has
// its numbers.

#include "group.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Logging.h>

#include <chrono>
#include <cstdint>
#include <vector>

namespace {

// The share of process `rank` in a flat tensor, in its memory. Shares begin at `bounds`, and the last one ends there.
at::Tensor share(const at::Tensor &flat, const int64_t *bounds, int rank) {
  return flat.narrow(0, bounds[rank], bounds[rank + 1] - bounds[rank]);
}

// Whether all shares are as large.
bool are_even(const int64_t *bounds, size_t count, int world_size) {
  TORCH_CHECK(count == world_size + size_t{1}, count, " bounds for ", world_size, " shares");
  for (int rank = 1; rank < world_size; ++rank)
    if (bounds[rank + 1] - bounds[rank] != bounds[1] - bounds[0]) return false;
  return true;
}

// Starts to send what process `root` has.
c10::intrusive_ptr<c10d::Work> start_broadcast(c10d::Backend &backend, const at::Tensor &tensor, int root) {
  std::vector<at::Tensor> tensors{tensor};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  return backend.broadcast(tensors, options);
}

}  // namespace

extern "C" {

// A call that was started, in one part or several. It keeps its tensors alive.
struct llada_work {
  std::vector<c10::intrusive_ptr<c10d::Work>> parts;
  std::vector<at::Tensor> tensors;
};

void llada_c10d_free(char *text) { free(text); }

// Connects to the store at which the processes meet, once it is there.
char *llada_c10d_meet(const char *address, uint16_t port, bool serves, int world_size, int64_t timeout_ms,
                      llada_store **out) {
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
    *out = new llada_store{c10::make_intrusive<c10d::TCPStore>(address, options)};
  });
}

void llada_c10d_close(llada_store *store) { delete store; }

void llada_c10d_leave(llada_group *group) { delete group; }

void llada_c10d_forget(llada_work *work) { delete work; }

char *llada_c10d_wait(llada_work *work) {
  return guarded([&] {
    for (auto &part : work->parts) part->wait();
  });
}

// Starts the sum over all processes, in place.
char *llada_c10d_all_reduce(llada_group *group, at::Tensor *flat, llada_work **out) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{*flat};
    auto part = group->backend->allreduce(tensors);
    *out = new llada_work{{part}, tensors};
  });
}

// Starts the sum over all processes, of which each has its share afterwards, in place. The rest may be anything.
char *llada_c10d_reduce_scatter(llada_group *group, at::Tensor *flat, const int64_t *bounds, size_t count,
                                llada_work **out) {
  return guarded([&] {
    auto &backend = *group->backend;
    int rank = backend.getRank(), world_size = backend.getSize();
    bool even = are_even(bounds, count, world_size);
    std::vector<at::Tensor> tensors{*flat};
    c10::intrusive_ptr<c10d::Work> part;
    if (!backend.supportsCoalescing()) {
      // Gloo's own is this of a copy.
      part = backend.allreduce(tensors);
    } else if (even) {
      at::Tensor own = share(*flat, bounds, rank), all = *flat;
      part = backend._reduce_scatter_base(own, all);
    } else {
      backend.startCoalescing();
      for (int root = 0; root < world_size; ++root) {
        if (bounds[root] == bounds[root + 1]) continue;
        std::vector<at::Tensor> of_root{share(*flat, bounds, root)};
        c10d::ReduceOptions options;
        options.rootRank = root;
        backend.reduce(of_root, options);
      }
      part = backend.endCoalescing();
    }
    *out = new llada_work{{part}, tensors};
  });
}

// Starts to get the shares of all processes, of which each has its own, in place.
char *llada_c10d_all_gather(llada_group *group, at::Tensor *flat, const int64_t *bounds, size_t count,
                            llada_work **out) {
  return guarded([&] {
    auto &backend = *group->backend;
    int rank = backend.getRank(), world_size = backend.getSize();
    std::vector<at::Tensor> tensors{*flat};
    std::vector<c10::intrusive_ptr<c10d::Work>> parts;
    bool even = are_even(bounds, count, world_size), coalesces = backend.supportsCoalescing();
    if (coalesces && even) {
      at::Tensor own = share(*flat, bounds, rank), all = *flat;
      parts.push_back(backend._allgather_base(all, own));
    } else {
      if (coalesces) backend.startCoalescing();
      for (int root = 0; root < world_size; ++root) {
        if (bounds[root] == bounds[root + 1]) continue;
        auto part = start_broadcast(backend, share(*flat, bounds, root), root);
        if (!coalesces) parts.push_back(part);
      }
      if (coalesces) parts.push_back(backend.endCoalescing());
    }
    *out = new llada_work{parts, tensors};
  });
}

// Starts to send what process `root` has, in place.
char *llada_c10d_broadcast(llada_group *group, at::Tensor *flat, int root, llada_work **out) {
  return guarded([&] {
    *out = new llada_work{{start_broadcast(*group->backend, *flat, root)}, {*flat}};
  });
}

}  // extern "C"
