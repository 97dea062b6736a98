// What the shims share: errors as text, bfloat16 in registers, and how much work is worth a thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>

// One binary serves every x86-64: the loader picks the widest clone that the processor runs.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDEST
#endif

namespace {

template <class F>
char *guarded(F f) {
  try {
    f();
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("unknown C++ exception");
  }
}

inline float widen(uint16_t b) {
  uint32_t bits = uint32_t(b) << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
inline float widen(float f) { return f; }

// Rounds to nearest even; NaN stays NaN.
inline void narrow(float f, uint16_t &out) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  out = uint16_t(f != f ? 0x7fc0 : rounded);
}
inline void narrow(float f, float &out) { out = f; }

// Rows that one thread should have before a second one is worth waking.
inline int64_t grain(int64_t width) { return std::max<int64_t>(1, 32768 / width); }

}  // namespace
