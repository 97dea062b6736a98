// Groups by NCCL, for tensors on CUDA devices. Compiled only where libtorch is a CUDA build, and the headers of CUDA and of
// NCCL are to be had.

#include "group.h"

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>

using Nccl = c10d::ProcessGroupNCCL;

namespace {

struct NcclGroup : llada_group {
  using llada_group::llada_group;

  // c10d's own destructor does this too, and warns that nobody else has.
  ~NcclGroup() override {
    free(guarded([&] { backend->abort(); }));
  }
};

}  // namespace

// Connects the processes, all of which are there, with each other. This one has the CUDA device of this index.
extern "C" char *llada_c10d_join_nccl(llada_store *store, int device, int rank, int world_size, const char *prefix,
                                      int64_t timeout_ms, llada_group **out) {
  return guarded([&] {
    // Otherwise `wait` returns before the numbers are there, and a thread of c10d ends this process where a call fails.
    setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 1);
    auto options = Nccl::Options::create();
    options->timeout = std::chrono::milliseconds(timeout_ms);
    auto keys = c10::make_intrusive<c10d::PrefixStore>(std::string(prefix) + "/nccl", store->store);
    auto nccl = c10::make_intrusive<Nccl>(keys, rank, world_size, options);
    nccl->eagerConnectSingleDevice(at::Device(at::kCUDA, static_cast<at::DeviceIndex>(device)));
    *out = new NcclGroup(nccl);
  });
}
