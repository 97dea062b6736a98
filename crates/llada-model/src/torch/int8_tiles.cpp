// Eight-bit layers on the tiles of AMX. With few rows a product waits for its weights: they lie here in the order in
// which the tiles read them, and each thread reads its share from one end to the other.

#include "int8.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>

#if defined(__x86_64__) && defined(__linux__) && __has_include(<amxint8intrin.h>)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TILES __attribute__((target("amx-tile,amx-int8")))

namespace int8 {
namespace {

constexpr int64_t LINES = 16;            // rows of a tile
constexpr int64_t WIDTH = 64;            // bytes of a row
constexpr int64_t STEP = BLOCK * WIDTH;  // bytes of weights that make a block's sums for `WIDTH` inputs
constexpr int64_t NEAR = 1 << 19;        // bytes of activations that stay in the second cache beside the weights
static_assert(BLOCK == 2 * LINES);

// The system lets a process use the tiles when it has asked.
bool granted() {
  unsigned a, b, c, d;
  constexpr unsigned tile_and_int8 = 3u << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tile_and_int8) != tile_and_int8) return false;
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

// A thread's tiles: 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights.
class Tiles {
 public:
  TILES ~Tiles() { _tile_release(); }

  // The sums of `rows` rows, at most BLOCK, over `steps` times WIDTH inputs: (BLOCK, BLOCK) int32.
  TILES void multiply(const int8_t *x, int64_t stride, int64_t rows, const int8_t *weight, int64_t steps,
                      int32_t *sums) {
    shape(rows);
    bool both = rows > LINES;
    _tile_zero(0);
    _tile_zero(1);
    if (both) {
      _tile_zero(2);
      _tile_zero(3);
    }
    for (int64_t step = 0; step < steps; step++, x += WIDTH, weight += STEP) {
      _tile_loadd(6, weight, WIDTH);
      _tile_loadd(4, x, stride);
      _tile_dpbssd(0, 4, 6);
      _tile_loadd(7, weight + STEP / 2, WIDTH);
      _tile_dpbssd(1, 4, 7);
      if (both) {
        _tile_loadd(5, x + LINES * stride, stride);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
      }
    }
    constexpr int64_t line = BLOCK * sizeof(int32_t);
    _tile_stored(0, sums, line);
    _tile_stored(1, sums + LINES, line);
    if (both) {
      _tile_stored(2, sums + LINES * BLOCK, line);
      _tile_stored(3, sums + LINES * BLOCK + LINES, line);
    }
  }

 private:
  int64_t rows_ = 0;

  TILES void shape(int64_t rows) {
    if (rows == rows_) return;
    rows_ = rows;
    struct alignas(64) {
      uint8_t palette = 1, start = 0, reserved[14] = {};
      uint16_t bytes[16] = {};
      uint8_t lines[16] = {};
    } config;
    int64_t upper = std::min(rows, LINES), lower = rows - upper;
    const int64_t lines[8] = {upper, upper, lower, lower, upper, lower, LINES, LINES};
    for (int tile = 0; tile < 8; tile++) {
      config.lines[tile] = uint8_t(lines[tile]);
      config.bytes[tile] = lines[tile] ? WIDTH : 0;
    }
    _tile_loadconfig(&config);
  }
};

void prefetch(const int8_t *weight) {
  for (int64_t i = 0; i < 2 * STEP; i += WIDTH) _mm_prefetch(reinterpret_cast<const char *>(weight) + i, _MM_HINT_T1);
}

WIDEST void scale_sums(const int32_t *sums, const float *scale, float *product, int64_t rows) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < BLOCK; j++) product[i * BLOCK + j] = float(sums[i * BLOCK + j]) * scale[j];
}

struct Tiled : Weight {
  int64_t inputs, outputs;
  at::Tensor panels;  // (panels, BLOCK * inputs): by step, tile, four inputs, and output; zeros past the last output
  at::Tensor scale;   // (panels * BLOCK)

  Tiled(const at::Tensor &weight, const at::Tensor &scales) : inputs(weight.size(1)), outputs(weight.size(0)) {
    panels = at::zeros({(outputs + BLOCK - 1) / BLOCK, BLOCK * inputs}, at::kChar);
    scale = at::zeros({panels.size(0) * BLOCK}, at::kFloat);
    scale.narrow(0, 0, outputs).copy_(scales);
    at::Tensor rows = weight.contiguous();
    at::parallel_for(0, outputs, grain(inputs), [&](int64_t begin, int64_t end) {
      for (int64_t output = begin; output < end; output++) deal(data<int8_t>(rows) + output * inputs, output);
    });
  }

  // One row of weights to its places in its panel.
  void deal(const int8_t *row, int64_t output) {
    int8_t *panel = data<int8_t>(panels) + output / BLOCK * BLOCK * inputs;
    int64_t place = output % BLOCK / LINES * STEP / 2 + output % LINES * 4;
    for (int64_t i = 0; i < inputs; i += 4)
      memcpy(panel + i / WIDTH * STEP + i % WIDTH / 4 * WIDTH + place, row + i, 4);
  }

  // Some rows after others, so that they stay near; a thread reads its panels one after the other.
  void linear(const at::Tensor &x, const Finish &finish) const override {
    int64_t rows = x.size(0), near = std::max(BLOCK, NEAR / inputs / BLOCK * BLOCK);
    at::parallel_for(0, panels.size(0), std::max<int64_t>(1, SHARE / panels.size(1)), [&](int64_t begin, int64_t end) {
      Tiles tiles;
      for (int64_t row = 0; row < rows; row += near)
        for (int64_t panel = begin; panel < end; panel++)
          multiply(tiles, x, row, std::min(row + near, rows), panel, finish);
    });
  }

  void multiply(Tiles &tiles, const at::Tensor &x, int64_t row, int64_t end, int64_t panel, const Finish &finish) const {
    alignas(64) int32_t sums[BLOCK * BLOCK];
    alignas(64) float product[BLOCK * BLOCK];
    int64_t column = panel * BLOCK, n = std::min(BLOCK, outputs - column);
    const int8_t *weight = data<int8_t>(panels) + column * inputs, *next = weight + BLOCK * inputs;
    for (; row < end; row += BLOCK) {
      int64_t count = std::min(BLOCK, end - row);
      tiles.multiply(data<int8_t>(x) + row * inputs, inputs, count, weight, inputs / WIDTH, sums);
      if (row + BLOCK >= end) prefetch(next);  // memory would rest while the sums are finished
      scale_sums(sums, data<float>(scale) + column, product, count);
      finish.part(product, BLOCK, row, count, column, n);
    }
  }
};

}  // namespace

std::unique_ptr<Weight> pack_tiles(const at::Tensor &weight, const at::Tensor &scale) {
  static const bool runs = granted();
  if (!runs || weight.numel() == 0 || weight.size(1) % WIDTH != 0) return nullptr;
  return std::make_unique<Tiled>(weight, scale);
}

}  // namespace int8

#else

std::unique_ptr<int8::Weight> int8::pack_tiles(const at::Tensor &, const at::Tensor &) { return nullptr; }

#endif
