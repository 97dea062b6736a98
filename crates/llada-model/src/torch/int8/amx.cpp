// Eight-bit layers on the tiles of AMX.

#include "int8.h"

#if defined(__x86_64__) && defined(__linux__) && __has_include(<amxint8intrin.h>)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TILES __attribute__((target("amx-tile,amx-int8")))
#include "tiles.h"

namespace int8 {

// The system lets a process use the tiles when it has asked.
bool runs_amx() {
  unsigned a, b, c, d;
  constexpr unsigned tile_and_int8 = 3u << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tile_and_int8) != tile_and_int8) return false;
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

void linear_amx(const at::Tensor &x, const Parts &parts, const Finish &finish) { linear<TileProduct>(x, parts, finish); }

}  // namespace int8

#else

bool int8::runs_amx() { return false; }
void int8::linear_amx(const at::Tensor &, const int8::Parts &, const int8::Finish &) {}

#endif
