// What the shims share: errors as text, operations by name, bfloat16 in registers, and how much work is worth a thread.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

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

using OptionalTensor = std::optional<at::Tensor>;

template <class Signature>
auto find_op(const char *name, const char *overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

template <class T>
T *data(const at::Tensor &tensor) {
  return static_cast<T *>(tensor.data_ptr());
}

// Kernels are written once for both types of elements.
#define FOR_EACH_TYPE(KERNEL) KERNEL(float) KERNEL(uint16_t)

// Calls `f` with a value of the tensor's type of elements; bfloat16 travels as its bits.
template <class F>
void by_type(const at::Tensor &tensor, F f) {
  if (tensor.scalar_type() == at::kBFloat16)
    f(uint16_t());
  else
    f(float());
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

// e^x to 2 ulp for the arguments that occur here, none above 0 by more than rounding; in operations that every clone
// has as vectors, which std::exp has not (Cephes' expf).
inline __attribute__((always_inline)) float exponential(float x) {
  x = x < -87.0f ? -87.0f : (x > 87.0f ? 87.0f : x);
  float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  float n = shifted - 12582912.0f;
  float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int32_t bits = (int32_t(n) + 127) << 23;
  float power;
  memcpy(&power, &bits, 4);
  return p * power;
}

inline __attribute__((always_inline)) float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

// Rows that one thread should have before a second one is worth waking.
inline int64_t grain(int64_t width) { return std::max<int64_t>(1, 32768 / width); }

}  // namespace
