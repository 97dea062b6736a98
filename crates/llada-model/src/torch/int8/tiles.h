// The product of a block of rows by a panel on the tiles of AMX. Whoever includes this file has included the intrinsics
// `_tile_*`, and has defined `TILES`, the attribute of functions that call them: a test brings tiles of its own.
#pragma once

#include "panel.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace int8 {

// A thread's tiles: 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights.
class TileProduct {
 public:
  TILES ~TileProduct() { _tile_release(); }

  TILES void operator()(const uint8_t *x, int64_t stride, int64_t rows, const uint8_t *panel, int64_t inputs,
                        int32_t *sums) {
    shape(rows);
    bool both = rows > LINES;
    _tile_zero(0);
    _tile_zero(1);
    if (both) {
      _tile_zero(2);
      _tile_zero(3);
    }
    int64_t i = 0;
    for (; i + WIDTH <= inputs; i += WIDTH, panel += STEP) add_products(x + i, stride, both, panel);
    if (i < inputs) {  // the last step is narrower than a tile, which must not read past the row's end
      alignas(64) uint8_t rest[STEP] = {};
      for (int64_t r = 0; r < rows; r++) memcpy(rest + r * WIDTH, x + r * stride + i, inputs - i);
      add_products(rest, WIDTH, both, panel);
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

  TILES inline __attribute__((always_inline)) static void add_products(const uint8_t *x, int64_t stride, bool both,
                                                                       const uint8_t *panel) {
    _tile_loadd(6, panel, WIDTH);
    _tile_loadd(4, x, stride);
    _tile_dpbusd(0, 4, 6);
    _tile_loadd(7, panel + STEP / 2, WIDTH);
    _tile_dpbusd(1, 4, 7);
    if (both) {
      _tile_loadd(5, x + LINES * stride, stride);
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
    }
  }

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

}  // namespace int8
