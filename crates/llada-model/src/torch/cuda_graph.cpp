// CUDA graphs, which tch does not bind: kernels that are recorded once and launched together. Compiled only where libtorch
// is a CUDA build, and CUDA's headers are to be had. Functions return null, or an error text that the caller frees.

#include "shim.h"

// libtorch's guards of CUDA devices would need CUDA's own library when this is linked, and those of any device do not.
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/cuda/MemPool.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/StreamGuard.h>

#include <optional>

// Where the graphs of one model are recorded, and the memory that their kernels share.
struct llada_graph_pool {
  at::cuda::MemPool memory;
  c10::cuda::CUDAStream stream;
  bool is_abandoned = false;

  explicit llada_graph_pool(c10::DeviceIndex device) : stream(c10::cuda::getStreamFromPool(false, device)) {}
};

struct llada_graph {
  at::cuda::CUDAGraph graph;
  // The stream of the pool, while the graph is being recorded.
  std::optional<c10::StreamGuard> recording;
};

extern "C" {

char *llada_graph_pool_new(int device, llada_graph_pool **out) {
  return guarded([&] {
    c10::DeviceGuard guard(at::Device(at::kCUDA, c10::DeviceIndex(device)));
    *out = new llada_graph_pool(c10::DeviceIndex(device));
  });
}

void llada_graph_pool_drop(llada_graph_pool *pool) {
  if (!pool->is_abandoned) free(guarded([&] { delete pool; }));
}

// Records what this thread launches from now on. `out` may be set even if this fails; it is then to be abandoned.
char *llada_graph_begin(llada_graph_pool *pool, llada_graph **out) {
  return guarded([&] {
    *out = new llada_graph();
    (*out)->recording.emplace(pool->stream.unwrap());
    // Other threads may go on with devices of their own.
    (*out)->graph.capture_begin(pool->memory.id(), cudaStreamCaptureModeThreadLocal);
  });
}

char *llada_graph_end(llada_graph *graph) {
  return guarded([&] {
    graph->graph.capture_end();
    graph->recording.reset();
  });
}

// Ends a recording that has failed. Neither the graph nor its pool is freed any more: libtorch's allocator may go on asking
// the one whose memory is whose, and has not counted that it has left the other.
void llada_graph_abandon(llada_graph_pool *pool, llada_graph *graph) {
  pool->is_abandoned = true;
  if (!graph) return;
  free(guarded([&] { graph->graph.capture_end(); }));
  // What `capture_end` leaves undone if CUDA has rejected the recording; otherwise this fails, and nothing is to be done.
  free(guarded([&] {
    c10::cuda::CUDACachingAllocator::endAllocateToPool(pool->stream.device_index(), pool->memory.id());
  }));
  free(guarded([&] { graph->recording.reset(); }));
}

// Launches the kernels on the thread's stream.
char *llada_graph_replay(llada_graph *graph) {
  return guarded([&] { graph->graph.replay(); });
}

void llada_graph_drop(llada_graph *graph) {
  free(guarded([&] { delete graph; }));
}

}  // extern "C"
