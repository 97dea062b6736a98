// Linear layers of bfloat16 weights by fused multiply-add in f32. A bfloat16 is the upper half of an f32, so that a shift
// or a mask widens a line of weights, for a group of rows at once. Intel's instruction for pairs of bfloat16 multiplies at
// half the rate of f32, and older processors have none.

#include "bf16.h"

#include "../panels.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

namespace bf16 {
namespace {

using panels::After;
using panels::BLOCK;
using panels::LINES;
using panels::WIDTH;

// The weights of `n` outputs, a row each, to their places in a panel.
void deal(const uint16_t *rows, uint8_t *panel, int64_t inputs, int64_t n) {
  for (int64_t i = 0; i < inputs; i += 2, panel += 2 * WIDTH)
    for (int64_t output = 0; output < n; output++)
      memcpy(panel + output * 4, rows + output * inputs + i, i + 1 < inputs ? 4 : 2);
}

// The weights of `n` outputs, a column each of `outputs`, to their places in a panel.
WIDEST void interleave(const uint16_t *columns, uint8_t *panel, int64_t inputs, int64_t outputs, int64_t n) {
  for (int64_t i = 0; i < inputs; i += 2, panel += 2 * WIDTH) {
    const uint16_t *first = columns + i * outputs;
    uint32_t *line = reinterpret_cast<uint32_t *>(panel);
    for (int64_t output = 0; output < n; output++) line[output] = first[output];
    if (i + 1 == inputs) break;
    const uint16_t *second = first + outputs;
    for (int64_t output = 0; output < n; output++) line[output] |= uint32_t(second[output]) << 16;
  }
}

// A layer's weights, in the order in which products read them.
struct Weight {
  int64_t inputs, outputs;
  at::Tensor panels;  // (panels, pairs * 2 * WIDTH) bytes: by pair of inputs, tile, output, input; zeros where there is none

  // weight: (outputs, inputs), or with `transposed` (inputs, outputs); contiguous.
  Weight(const at::Tensor &weight, bool transposed) : inputs(weight.size(!transposed)), outputs(weight.size(transposed)) {
    int64_t pairs = (inputs + 1) / 2;
    panels = at::zeros({(outputs + BLOCK - 1) / BLOCK, pairs * 2 * WIDTH}, at::kByte);
    at::parallel_for(0, panels.size(0), grain(inputs * BLOCK), [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; panel++) {
        int64_t first = panel * BLOCK, n = std::min(BLOCK, outputs - first);
        uint8_t *to = data<uint8_t>(panels) + panel * panels.size(1);
        if (transposed)
          interleave(data<uint16_t>(weight) + first, to, inputs, outputs, n);
        else
          deal(data<uint16_t>(weight) + first * inputs, to, inputs, n);
      }
    });
  }
};

WIDEST void finish_rows(const float *sums, const float *bias, const uint16_t *other, After after, uint16_t *out,
                        int64_t stride, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r++, sums += BLOCK, out += stride) {
    if (bias)
      panels::finish<uint16_t>([&](int64_t i) { return sums[i] + bias[i]; }, other, after, out, n);
    else
      panels::finish<uint16_t>([&](int64_t i) { return sums[i]; }, other, after, out, n);
    if (other) other += stride;
  }
}

using Parts = std::vector<panels::Part<Weight>>;

// From the sums to what the layers give.
struct Finish {
  const float *bias;      // of each output, or null
  const uint16_t *other;  // (rows, outputs), or null
  After after;
  uint16_t *out;  // (rows, outputs)

  void operator()(const Weight &weight, const float *sums, int64_t row, int64_t rows, int64_t panel) const {
    int64_t column = panel * BLOCK, n = std::min(BLOCK, weight.outputs - column);
    int64_t place = row * weight.outputs + column;
    finish_rows(sums, bias ? bias + column : nullptr, other ? other + place : nullptr, after, out + place,
                weight.outputs, rows, n);
  }
};

WIDEST void widen_row(const uint16_t *x, float *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = widen(x[i]);
}

// (rows, stride) f32, with zeros past the last input.
at::Tensor widened(const at::Tensor &x, int64_t stride) {
  int64_t rows = x.size(0), inputs = x.size(1);
  at::Tensor out = at::empty({rows, stride}, x.options().dtype(at::kFloat));
  at::parallel_for(0, rows, grain(inputs), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      float *to = data<float>(out) + row * stride;
      widen_row(data<uint16_t>(x) + row * inputs, to, inputs);
      std::fill(to + inputs, to + stride, 0.0f);
    }
  });
  return out;
}

}  // namespace
}  // namespace bf16

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f")))
#define AVX2 __attribute__((target("avx2,fma")))

namespace bf16 {
namespace {

template <int ROWS>
using Rows = panels::Rows<ROWS, float>;

template <int ROWS>
AVX512 INLINE void add_products(__m512 (&left)[ROWS], __m512 (&right)[ROWS], const Rows<ROWS> &x, int64_t input,
                                __m512i first, __m512i second) {
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
    __m512 value = _mm512_set1_ps(x.at(r)[input]);
    left[r] = _mm512_fmadd_ps(value, _mm512_castsi512_ps(first), left[r]);
    right[r] = _mm512_fmadd_ps(value, _mm512_castsi512_ps(second), right[r]);
  }
}

// Both tiles of a panel at once.
template <int ROWS>
AVX512 void group_avx512(const float *x, int64_t stride, const uint8_t *panel, int64_t inputs, float *sums) {
  __m512 left[ROWS], right[ROWS];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) left[r] = right[r] = _mm512_setzero_ps();
  Rows<ROWS> rows(x, stride);
  const __m512i upper = _mm512_set1_epi32(int32_t(0xffff0000));
  for (int64_t i = 0; i < inputs; i += 2, panel += 2 * WIDTH, rows.advance(2)) {
    __m512i first = _mm512_load_si512(panel), second = _mm512_load_si512(panel + WIDTH);
    add_products(left, right, rows, 0, _mm512_slli_epi32(first, 16), _mm512_slli_epi32(second, 16));
    add_products(left, right, rows, 1, _mm512_and_si512(first, upper), _mm512_and_si512(second, upper));
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
    _mm512_store_ps(sums + r * BLOCK, left[r]);
    _mm512_store_ps(sums + r * BLOCK + LINES, right[r]);
  }
}

template <int ROWS>
AVX2 INLINE void add_products(__m256 (&left)[ROWS], __m256 (&right)[ROWS], const Rows<ROWS> &x, int64_t input,
                              __m256i first, __m256i second) {
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
    __m256 value = _mm256_set1_ps(x.at(r)[input]);
    left[r] = _mm256_fmadd_ps(value, _mm256_castsi256_ps(first), left[r]);
    right[r] = _mm256_fmadd_ps(value, _mm256_castsi256_ps(second), right[r]);
  }
}

// One tile after the other.
template <int ROWS>
AVX2 void group_avx2(const float *x, int64_t stride, const uint8_t *panel, int64_t inputs, float *sums) {
  for (int64_t tile = 0; tile < BLOCK / LINES; tile++) {
    __m256 left[ROWS], right[ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) left[r] = right[r] = _mm256_setzero_ps();
    Rows<ROWS> rows(x, stride);
    const __m256i upper = _mm256_set1_epi32(int32_t(0xffff0000));
    const uint8_t *line = panel + tile * WIDTH;
    for (int64_t i = 0; i < inputs; i += 2, line += 2 * WIDTH, rows.advance(2)) {
      const __m256i *halves = reinterpret_cast<const __m256i *>(line);
      __m256i first = _mm256_load_si256(halves), second = _mm256_load_si256(halves + 1);
      add_products(left, right, rows, 0, _mm256_slli_epi32(first, 16), _mm256_slli_epi32(second, 16));
      add_products(left, right, rows, 1, _mm256_and_si256(first, upper), _mm256_and_si256(second, upper));
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
      _mm256_store_ps(sums + r * BLOCK + tile * LINES, left[r]);
      _mm256_store_ps(sums + r * BLOCK + tile * LINES + 8, right[r]);
    }
  }
}

struct Avx512 {
  template <int ROWS>
  static constexpr auto group = group_avx512<ROWS>;
  static constexpr int64_t MOST = 12;
};
struct Avx2 {
  template <int ROWS>
  static constexpr auto group = group_avx2<ROWS>;
  static constexpr int64_t MOST = 5;
};

bool has_amx() {
  unsigned a, b, c, d;
  constexpr unsigned amx_bf16 = 1u << 22;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & amx_bf16);
}

bool runs(int64_t width) {
  return width == 512 ? bool(__builtin_cpu_supports("avx512f"))
                      : width == 256 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

// AMD's instruction for pairs, and Intel's tiles, multiply faster than this: oneDNN uses them.
int64_t find_best() {
  bool pairs = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_is("amd");
  if (pairs || has_amx()) return 0;
  return runs(512) ? 512 : runs(256) ? 256 : 0;
}

int64_t best() {
  static const int64_t width = find_best();
  return width;
}

void linear(int64_t width, const at::Tensor &x, const Parts &parts, const Finish &finish) {
  int64_t stride = (x.size(1) + 1) / 2 * 2;
  at::Tensor wide = widened(x, stride);
  if (width == 512)
    panels::for_each_part<panels::Groups<Avx512, float, float>, float>(data<float>(wide), stride, parts, finish);
  else
    panels::for_each_part<panels::Groups<Avx2, float, float>, float>(data<float>(wide), stride, parts, finish);
}

}  // namespace
}  // namespace bf16

#else

namespace bf16 {
namespace {
bool runs(int64_t) { return false; }
int64_t best() { return 0; }
void linear(int64_t, const at::Tensor &, const Parts &, const Finish &) {}
}  // namespace
}  // namespace bf16

#endif

namespace bf16 {

bool is_best() { return best() != 0; }

at::Tensor product(const at::Tensor &x, const at::Tensor &weight, bool transposed) {
  Weight packed(weight.contiguous(), transposed);
  at::Tensor input = x.contiguous(), out = at::empty({x.size(0), packed.outputs}, x.options());
  Parts parts = {{&packed, 0, x.size(0)}};
  linear(best(), input, parts, {nullptr, nullptr, After::nothing, data<uint16_t>(out)});
  return out;
}

}  // namespace bf16

extern "C" {

// Bits of the registers that layers multiply in where these kernels are the fastest for bfloat16, otherwise 0.
int64_t llada_bf16_best() { return bf16::best(); }

bool llada_bf16_runs(int64_t width) { return bf16::runs(width); }

// weight (out, in) bf16, contiguous -> what llada_bf16_linear reads.
char *llada_bf16_pack(const at::Tensor *weight, bf16::Weight **out) {
  return guarded([&] { *out = new bf16::Weight(*weight, false); });
}

void llada_bf16_free(bf16::Weight *weight) { delete weight; }

// x (rows, in), of which the first rows[0] go through weights[0], and so on; the `count` weights are of one shape.
// other and out (rows, out), all bf16 and contiguous; bias (out) f32.
char *llada_bf16_linear(int64_t width, const at::Tensor *x, const bf16::Weight *const *weights, const int64_t *rows,
                        int64_t count, const at::Tensor *bias, int64_t after, const at::Tensor *other,
                        at::Tensor *out) {
  return guarded([&] {
    bf16::linear(width, *x, panels::parts_of(weights, rows, count),
                 {bias ? data<float>(*bias) : nullptr, other ? data<uint16_t>(*other) : nullptr, panels::After(after),
                  data<uint16_t>(*out)});
  });
}

}  // extern "C"
