// Eight-bit layers by VNNI: an instruction multiplies four bytes of a row by a line of a tile and adds them up, in
// registers of 512 bits (AVX-512) or 256 bits (AVX). A group of rows shares every line that is read.

#include "int8.h"

#if defined(__x86_64__) && __has_include(<avxvnniintrin.h>)
#include <cpuid.h>
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512vnni")))
#define AVX __attribute__((target("avx2,avxvnni")))

namespace int8 {
namespace {

template <int ROWS>
using Rows = panels::Rows<ROWS, uint8_t>;

// The `count` bytes that come next, and zeros.
INLINE int32_t four(const uint8_t *x, int64_t count) {
  int32_t bytes = 0;
  memcpy(&bytes, x, count);
  return bytes;
}

template <int ROWS>
AVX512 INLINE void add_products(__m512i (&left)[ROWS], __m512i (&right)[ROWS], const Rows<ROWS> &x, int64_t count,
                                const uint8_t *line) {
  __m512i first = _mm512_load_si512(line), second = _mm512_load_si512(line + STEP / 2);
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
    __m512i bytes = _mm512_set1_epi32(four(x.at(r), count));
    left[r] = _mm512_dpbusd_epi32(left[r], bytes, first);
    right[r] = _mm512_dpbusd_epi32(right[r], bytes, second);
  }
}

// Both tiles of a panel at once.
template <int ROWS>
AVX512 void group_avx512(const uint8_t *x, int64_t stride, const uint8_t *panel, int64_t inputs, int32_t *sums) {
  __m512i left[ROWS], right[ROWS];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) left[r] = right[r] = _mm512_setzero_si512();
  Rows<ROWS> rows(x, stride);
  for (int64_t first = 0; first < inputs; first += WIDTH, panel += STEP) {
    int64_t width = std::min(WIDTH, inputs - first), i = 0;
    for (; i + 4 <= width; i += 4, rows.advance(4)) add_products(left, right, rows, 4, panel + i / 4 * WIDTH);
    if (i < width) add_products(left, right, rows, width - i, panel + i / 4 * WIDTH);
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
    _mm512_store_si512(sums + r * BLOCK, left[r]);
    _mm512_store_si512(sums + r * BLOCK + LINES, right[r]);
  }
}

template <int ROWS>
AVX INLINE void add_products(__m256i (&left)[ROWS], __m256i (&right)[ROWS], const Rows<ROWS> &x, int64_t count,
                             const uint8_t *line) {
  const __m256i *halves = reinterpret_cast<const __m256i *>(line);
  __m256i first = _mm256_load_si256(halves), second = _mm256_load_si256(halves + 1);
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
    __m256i bytes = _mm256_set1_epi32(four(x.at(r), count));
    left[r] = _mm256_dpbusd_avx_epi32(left[r], bytes, first);
    right[r] = _mm256_dpbusd_avx_epi32(right[r], bytes, second);
  }
}

// One tile after the other.
template <int ROWS>
AVX void group_avx(const uint8_t *x, int64_t stride, const uint8_t *panel, int64_t inputs, int32_t *sums) {
  for (int64_t tile = 0; tile < BLOCK / LINES; tile++) {
    __m256i left[ROWS], right[ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) left[r] = right[r] = _mm256_setzero_si256();
    Rows<ROWS> rows(x, stride);
    const uint8_t *lines = panel + tile * STEP / 2;
    for (int64_t first = 0; first < inputs; first += WIDTH, lines += STEP) {
      int64_t width = std::min(WIDTH, inputs - first), i = 0;
      for (; i + 4 <= width; i += 4, rows.advance(4)) add_products(left, right, rows, 4, lines + i / 4 * WIDTH);
      if (i < width) add_products(left, right, rows, width - i, lines + i / 4 * WIDTH);
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
      __m256i *halves = reinterpret_cast<__m256i *>(sums + r * BLOCK + tile * LINES);
      _mm256_store_si256(halves, left[r]);
      _mm256_store_si256(halves + 1, right[r]);
    }
  }
}

// As many rows as leave room in the registers for a line of each tile and for what is multiplied by it: each takes two.
struct Avx512 {
  template <int ROWS>
  static constexpr auto group = group_avx512<ROWS>;
  static constexpr int64_t MOST = 12;
};
struct Avx {
  template <int ROWS>
  static constexpr auto group = group_avx<ROWS>;
  static constexpr int64_t MOST = 6;
};

}  // namespace

bool runs_avx512_vnni() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni"); }

// Compilers learnt the name of this feature later than its instructions.
bool runs_avx_vnni() {
  unsigned a, b, c, d;
  constexpr unsigned avx_vnni = 1u << 4;
  return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & avx_vnni);
}

void linear_avx512_vnni(const at::Tensor &x, const Parts &parts, const Finish &finish) {
  linear<panels::Groups<Avx512, uint8_t, int32_t>>(x, parts, finish);
}
void linear_avx_vnni(const at::Tensor &x, const Parts &parts, const Finish &finish) {
  linear<panels::Groups<Avx, uint8_t, int32_t>>(x, parts, finish);
}

}  // namespace int8

#else

namespace int8 {
bool runs_avx512_vnni() { return false; }
bool runs_avx_vnni() { return false; }
void linear_avx512_vnni(const at::Tensor &, const Parts &, const Finish &) {}
void linear_avx_vnni(const at::Tensor &, const Parts &, const Finish &) {}
}  // namespace int8

#endif
