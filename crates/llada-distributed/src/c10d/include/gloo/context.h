// What ProcessGroupGloo.hpp has to know of gloo's context. It is declared and never defined: gloo is in libtorch_cpu.so.
#pragma once

#include <chrono>

namespace gloo {
class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};
}  // namespace gloo
