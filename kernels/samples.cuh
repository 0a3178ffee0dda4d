// What the kernels share: who a thread is, how samples are read and resized, where a turn takes a pixel.
#pragma once

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

#include "calls.h"

// Blocks are 32 x 8 threads: a warp reads and writes along a row.
#define KERNEL extern "C" __global__ void __launch_bounds__(256)

// A thread's column and row in the launch.
__device__ inline int thread_x() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }
__device__ inline int thread_y() { return static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); }

__device__ inline int clamped(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

// Samples of up to 8 bits, and of 9 to 16.
struct Bytes {
  static __device__ int read(const Plane& plane, int x, int y) {
    return plane.data[static_cast<size_t>(y) * plane.pitch + static_cast<size_t>(x) * plane.step];
  }
  static __device__ void write(const Plane& plane, int x, int y, int value) {
    plane.data[static_cast<size_t>(y) * plane.pitch + static_cast<size_t>(x) * plane.step] =
        static_cast<unsigned char>(value);
  }
};

struct Words {
  static __device__ unsigned short* at(const Plane& plane, int x, int y) {
    return reinterpret_cast<unsigned short*>(plane.data + static_cast<size_t>(y) * plane.pitch +
                                             static_cast<size_t>(x) * plane.step);
  }
  static __device__ int read(const Plane& plane, int x, int y) { return *at(plane, x, y) >> plane.shift; }
  static __device__ void write(const Plane& plane, int x, int y, int value) {
    *at(plane, x, y) = static_cast<unsigned short>(value << plane.shift);
  }
};

// Pixel (x, y) of a bicubic resize in 22-bit fixed point: rows first, a byte between the passes (docs/bundle.md).
// `read(x, y)` gives a byte of the columns x rows that are resized.  A pass that changes no size has one tap.
//
// Both passes are in one thread: a source row is resized anew for each of the up to 4 result rows that it counts for.
// That costs arithmetic, and saves a second launch and a scratch plane written and read again.
template <typename Read>
__device__ int resized_byte(const Read& read, const Axis& across, const Axis& down, int columns, int rows, int x,
                            int y) {
  const int* wide = static_cast<const int*>(across.weights) + x;
  const int* tall = static_cast<const int*>(down.weights) + y;
  const int left = across.first[x], top = down.first[y];
  int column = 1 << 21;
  for (int j = 0; j < down.taps; ++j) {
    int row = 1 << 21;
    for (int i = 0; i < across.taps; ++i)
      // a row's filter may be shorter than the longest: its last weights are 0, whatever sample they meet
      row += wide[i * across.count] * read(clamped(left + i, 0, columns - 1), clamped(top + j, 0, rows - 1));
    column += tall[j * down.count] * clamped(row >> 22, 0, 255);
  }
  return clamped(column >> 22, 0, 255);
}

// Where the pixels of a lying picture lie in the upright one, [h, w].
struct Turn {
  int origin, across, down;  // the index of pixel (0, 0), and what a step along a row and along a column adds
  __device__ int operator()(int x, int y) const { return origin + x * across + y * down; }
};

// After `turns` quarter turns counter-clockwise of columns x rows.
__device__ inline Turn turned(int columns, int rows, int turns) {
  switch (turns) {
    case 1: return {(columns - 1) * rows, -rows, 1};
    case 2: return {rows * columns - 1, -1, -columns};
    case 3: return {rows - 1, rows, -1};
    default: return {0, 1, columns};
  }
}

// The cell, of `cells`, that holds the centre of pixel x of `size`.
__device__ inline int nearest_cell(int x, int size, int cells) { return (2 * x + 1) * cells / (2 * size); }
