// Where a panel has each eight-bit weight: by step, tile, four inputs, output.
#pragma once

#include "../panel_shape.h"

namespace int8 {

using panels::BLOCK;
using panels::LINES;
using panels::WIDTH;

constexpr int64_t STEP = BLOCK * WIDTH;  // bytes of a panel for WIDTH inputs

constexpr int64_t place(int64_t output, int64_t input) {
  int64_t tile = output % BLOCK / LINES;
  return input / WIDTH * STEP + tile * STEP / 2 + input % WIDTH / 4 * WIDTH + output % LINES * 4 + input % 4;
}

}  // namespace int8
