// The product on the tiles of AMX, computed on tiles that this program emulates, against a loop over integers. So the kernel's
// arithmetic is tested on processors that have no tiles. The instructions are those of Intel's Architecture Instruction Set
// Extensions Programming Reference, chapter 3; here they also refuse tiles that do not fit.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace emulated {

struct Tile {
  int lines = 0, bytes = 0;
  std::array<std::array<uint8_t, 64>, 16> at = {};
};

Tile tiles[8];

void require(bool holds, const char *what) {
  if (holds) return;
  printf("%s\n", what);
  exit(1);
}

void load_config(const void *config) {
  const uint8_t *bytes = static_cast<const uint8_t *>(config);
  require(bytes[0] == 1, "the palette is not 1");
  for (int t = 0; t < 8; t++) {
    uint16_t width;
    memcpy(&width, bytes + 16 + 2 * t, 2);
    require(width <= 64 && bytes[48 + t] <= 16 && (width == 0) == (bytes[48 + t] == 0), "impossible tile");
    tiles[t] = Tile{bytes[48 + t], width};
  }
}

void zero(Tile &tile) {
  require(tile.lines > 0, "a tile without lines");
  tile.at = {};
}

void load(Tile &tile, const void *base, int64_t stride) {
  zero(tile);
  for (int i = 0; i < tile.lines; i++)
    memcpy(tile.at[i].data(), static_cast<const uint8_t *>(base) + i * stride, tile.bytes);
}

void store(const Tile &tile, void *base, int64_t stride) {
  for (int i = 0; i < tile.lines; i++)
    memcpy(static_cast<uint8_t *>(base) + i * stride, tile.at[i].data(), tile.bytes);
}

// sums += x w, with x unsigned and w signed, four bytes to a sum.
void add_products(Tile &sums, const Tile &x, const Tile &w) {
  require(sums.lines == x.lines && sums.bytes == w.bytes && x.bytes == 4 * w.lines, "tiles that do not fit");
  for (int m = 0; m < sums.lines; m++)
    for (int n = 0; n < sums.bytes / 4; n++) {
      int32_t sum;
      memcpy(&sum, &sums.at[m][4 * n], 4);
      for (int k = 0; k < x.bytes; k++) sum += int32_t(x.at[m][k]) * int8_t(w.at[k / 4][4 * n + k % 4]);
      memcpy(&sums.at[m][4 * n], &sum, 4);
    }
}

}  // namespace emulated

#define _tile_loadconfig emulated::load_config
#define _tile_release() emulated::load_config(std::array<uint8_t, 64>{1}.data())
#define _tile_zero(t) emulated::zero(emulated::tiles[t])
#define _tile_loadd(t, base, stride) emulated::load(emulated::tiles[t], base, stride)
#define _tile_stored(t, base, stride) emulated::store(emulated::tiles[t], base, stride)
#define _tile_dpbusd(sums, x, w) \
  emulated::add_products(emulated::tiles[sums], emulated::tiles[x], emulated::tiles[w])
#define TILES

#include "../../src/torch/int8/tiles.h"

namespace {

using namespace int8;

uint64_t state = 1;
uint8_t random_byte() {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return uint8_t(state >> 56);
}

// Memory that ends where a page begins which nothing may touch.
template <class T>
struct Guarded {
  size_t page = sysconf(_SC_PAGESIZE), size;
  uint8_t *map;
  T *begin;

  explicit Guarded(size_t count) : size((count * sizeof(T) + page - 1) / page * page) {
    map = static_cast<uint8_t *>(mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    emulated::require(map != MAP_FAILED && mprotect(map + size, page, PROT_NONE) == 0, "no guarded memory");
    begin = reinterpret_cast<T *>(map + size) - count;
  }
  ~Guarded() { munmap(map, size + page); }
  T &operator[](size_t i) { return begin[i]; }
};

void compare(TileProduct &product, int64_t rows, int64_t inputs) {
  Guarded<uint8_t> x(rows * inputs), panel((inputs + WIDTH - 1) / WIDTH * STEP);
  Guarded<int32_t> sums(rows > LINES ? BLOCK * BLOCK : LINES * BLOCK);
  std::vector<int8_t> weight(BLOCK * inputs);
  for (int64_t i = 0; i < rows * inputs; i++) x[i] = random_byte();
  for (int64_t output = 0; output < BLOCK; output++)
    for (int64_t i = 0; i < inputs; i++)
      panel[place(output, i)] = uint8_t(weight[output * inputs + i] = int8_t(random_byte()));
  product(x.begin, inputs, rows, panel.begin, inputs, sums.begin);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t output = 0; output < BLOCK; output++) {
      int32_t expected = 0;
      for (int64_t i = 0; i < inputs; i++) expected += int32_t(x[row * inputs + i]) * weight[output * inputs + i];
      if (sums[row * BLOCK + output] == expected) continue;
      printf("%ld rows, %ld inputs: row %ld, output %ld is %d instead of %d\n", long(rows), long(inputs), long(row),
             long(output), sums[row * BLOCK + output], expected);
      exit(1);
    }
}

}  // namespace

int main() {
  for (int64_t inputs : {1, 3, 4, 63, 64, 65, 127, 128, 130, 192, 515}) {
    TileProduct product;
    for (int64_t rows = 1; rows <= BLOCK; rows++) compare(product, rows, inputs);
    for (int64_t rows = BLOCK; rows >= 1; rows -= 7) compare(product, rows, inputs);
  }
}
