// Eight-bit layers by oneDNN's products.

#include "int8.h"

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/zeros.h>

#include <vector>

namespace int8 {
namespace {

// Outputs from `first` on, as many as there are zeros.
struct Part {
  int64_t first;
  at::Tensor packed, scale, zeros;

  // (rows, outputs of the part) in f32.
  at::Tensor multiply(const at::Tensor &x) const {
    using Scalars = c10::List<std::optional<at::Scalar>>;
    static auto op =
        find_op<at::Tensor(at::Tensor, double, int64_t, at::Tensor, at::Tensor, at::Tensor, OptionalTensor, double,
                           int64_t, std::optional<at::ScalarType>, c10::string_view, Scalars, c10::string_view)>(
            "onednn::qlinear_pointwise", "");
    return op.call(x, 1.0, 0, packed, scale, zeros, std::nullopt, 1.0, 0, at::kFloat, "none", Scalars(), "");
  }
};

Part pack(const at::Tensor &weight, const at::Tensor &scale, int64_t first, int64_t end, int64_t rows) {
  using Shape = c10::List<int64_t>;
  static auto op = find_op<at::Tensor(at::Tensor, std::optional<Shape>)>("onednn::qlinear_prepack", "");
  at::Tensor packed = op.call(weight.slice(0, first, end), Shape({rows, weight.size(1)}));
  return Part{first, packed, scale.slice(0, first, end), at::zeros({end - first}, at::kInt)};
}

// In shares, one a thread: their products are small, and a product that all threads share waits for its slowest one
// several times over.
struct Shares : Weight {
  std::vector<Part> parts;

  void linear(const at::Tensor &x, const Finish &finish) const override {
    at::parallel_for(0, int64_t(parts.size()), 1, [&](int64_t begin, int64_t end) {
      at::AutoDispatchBelowAutograd below;  // the products have no gradients, and the detour that says so costs time
      for (const Part *part = &parts[begin]; part != &parts[0] + end; part++) {
        at::Tensor product = part->multiply(x);
        int64_t n = product.size(1);
        at::parallel_for(0, x.size(0), grain(n), [&](int64_t row, int64_t last) {
          finish.part(data<float>(product) + row * n, n, row, last - row, part->first, n);
        });
      }
    });
  }
};

// Outputs are dealt out in multiples of this, the width of the product's blocks.
constexpr int64_t LANES = 64;

}  // namespace

std::unique_ptr<Weight> pack_onednn(const at::Tensor &weight, const at::Tensor &scale, int64_t rows) {
  int64_t outputs = weight.size(0);
  int64_t shares = std::clamp<int64_t>(weight.numel() / SHARE, 1, at::get_num_threads());
  int64_t each = ((outputs + shares - 1) / shares + LANES - 1) / LANES * LANES;
  auto made = std::make_unique<Shares>();
  for (int64_t first = 0; first < outputs; first += each)
    made->parts.push_back(pack(weight, scale, first, std::min(first + each, outputs), rows));
  return made;
}

}  // namespace int8
