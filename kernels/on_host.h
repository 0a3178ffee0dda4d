// The part of CUDA that the kernels use, for a plain C++ compiler: threads become loops, so that the same source is
// tested where there is no GPU.  Compile with -ffp-contract=off, or a multiplication and an addition may become one.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

using std::max;
using std::min;
using std::size_t;

#define __device__
#define __global__
#define __launch_bounds__(threads)

struct dim3 {
  unsigned x, y, z;
};

static thread_local dim3 blockIdx, blockDim, threadIdx;  // tests launch from several threads

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }

inline unsigned atomicOr(unsigned* address, unsigned value) {
  const unsigned old = *address;
  *address |= value;
  return old;
}

struct __half {
  uint16_t bits;
};

// Exact: every half is a float.
inline float __half2float(__half half) {
  const int exponent = half.bits >> 10 & 31, fraction = half.bits & 1023;
  const float size = exponent == 31  ? (fraction ? NAN : INFINITY)
                     : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                     : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return half.bits >> 15 ? -size : size;
}

// To the nearest, ties to the even one.
inline __half __float2half_rn(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float size = std::fabs(value);
  if (std::isnan(value)) return {0x7fff};
  if (size >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7c00)};
  int exponent;
  std::frexp(size, &exponent);
  const int unit = size == 0.0f ? -24 : std::max(exponent - 11, -24);  // log2 of what the last bit is worth
  const int steps = static_cast<int>(std::nearbyint(std::ldexp(size, -unit)));
  // Steps of 1024 and more carry their leading bit into the exponent: below unit 1, and at 2048 the next binade.
  return {static_cast<uint16_t>(sign | (((unit + 24) << 10) + steps))};
}

// Runs `kernel` for every thread of a launch that covers columns x rows in blocks of 32 x 8, block after block.
template <typename Call>
void on_host(void (*kernel)(Call), const Call& call, int columns, int rows) {
  blockDim = {32, 8, 1};
  const unsigned across = (columns + 31) / 32, down = (rows + 7) / 8;
  for (blockIdx.y = 0; blockIdx.y < down; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < across; ++blockIdx.x)
      for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y)
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) kernel(call);
}
