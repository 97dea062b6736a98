// What the shim's files share: groups, and calls that never throw.
#pragma once

#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <utility>

// Processes that speak through one backend of c10d.
struct llada_group {
  explicit llada_group(c10::intrusive_ptr<c10d::Backend> backend) : backend(std::move(backend)) {}
  virtual ~llada_group() = default;

  c10::intrusive_ptr<c10d::Backend> backend;
};

// Where processes meet.
struct llada_store {
  c10::intrusive_ptr<c10d::TCPStore> store;
};

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
