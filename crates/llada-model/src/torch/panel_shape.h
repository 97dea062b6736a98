// The shape of a panel of weights, which is two tiles of AMX side by side.
#pragma once

#include <cstdint>

namespace panels {

constexpr int64_t LINES = 16;         // outputs of a tile
constexpr int64_t WIDTH = 64;         // bytes of a line of a tile: four for each of its outputs
constexpr int64_t BLOCK = 2 * LINES;  // outputs of a panel, and rows that are multiplied by it at once

}  // namespace panels
