// dilate: the user's mask [H, W]  ->  one crop's hole [h, w] at the network's size, 0 or 1 (docs/bundle.md, The hole).
// Two launches: a cell's neighbours must be known before it can grow, and a crop without a masked pixel has no hole.
//
// dilate_cover, one thread a cell of the lying picture and of `reach` cells around it: reads the mask once, and shared
// pixels twice.  dilate_grow, one thread a cell: `reach` steps of a 3x3 cross make a diamond, 41 bytes for 4 steps.
// Memory-bound, and small: 2 MB in and 0.2 MB between at 1080p.
#include "samples.cuh"

namespace dilate {

__device__ inline int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// The pixels, of `size`, that cell `index` overlaps: none where it lies outside the frame.
__device__ inline void overlapped(int index, int start, int length, int cells, int size, int& first, int& stop) {
  first = clamped(start + floor_div(index * length, cells), 0, size);
  stop = clamped(start - floor_div(-(index + 1) * length, cells), 0, size);
}

}  // namespace dilate

// Which cells overlap a masked pixel; `any` becomes 1 when one of the crop's own does.
KERNEL dilate_cover(const DilateCall call) {
  const int x = thread_x(), y = thread_y(), reach = call.reach;
  const int columns = call.columns + 2 * reach, rows = call.rows + 2 * reach;
  if (x >= columns || y >= rows) return;
  int left, right, top, bottom;
  dilate::overlapped(x - reach, call.left, call.width, call.columns, call.mask_columns, left, right);
  dilate::overlapped(y - reach, call.top, call.height, call.rows, call.mask_rows, top, bottom);
  bool covered = false;
  for (int row = top; row < bottom && !covered; ++row)
    for (int column = left; column < right && !covered; ++column)
      covered = call.mask[static_cast<size_t>(row) * call.pitch + column] != 0;
  call.covered[y * columns + x] = covered;
  const bool own = x >= reach && x < columns - reach && y >= reach && y < rows - reach;
  if (covered && own) atomicOr(call.any, 1u);
}

// Cells within `reach` steps of a covered one, counted along rows and columns; turned upright.
KERNEL dilate_grow(const DilateCall call) {
  const int x = thread_x(), y = thread_y(), reach = call.reach;
  if (x >= call.columns || y >= call.rows) return;
  const int pitch = call.columns + 2 * reach;
  bool hole = false;
  if (*call.any != 0)
    for (int down = -reach; down <= reach && !hole; ++down) {
      const int wide = reach - (down < 0 ? -down : down);
      const unsigned char* row = call.covered + (y + reach + down) * pitch + x + reach;
      for (int across = -wide; across <= wide && !hole; ++across) hole = row[across] != 0;
    }
  call.hole[turned(call.columns, call.rows, call.turns)(x, y)] = hole;
}
