// Every function returns null, or an error text that the caller frees.

#include "product.h"

#include "bf16/bf16.h"
#include "shim.h"

#include <ATen/ops/linear.h>
#include <torch/csrc/autograd/custom_function.h>

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

namespace {

// Whether the kernels of bf16.h are the fastest for a product with x.
bool is_ours(const at::Tensor &x) { return x.is_cpu() && x.scalar_type() == at::kBFloat16 && bf16::is_best(); }

struct Linear : Function<Linear> {
  static at::Tensor forward(AutogradContext *ctx, const at::Tensor &x, const at::Tensor &weight) {
    ctx->save_for_backward({x, weight});
    return product(x, weight, false);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    variable_list saved = ctx->get_saved_variables();
    at::Tensor of_x, of_weight;
    if (ctx->needs_input_grad(0)) of_x = product(grads[0], saved[1], true);
    if (ctx->needs_input_grad(1)) of_weight = product(grads[0].t(), saved[0], true);
    return {of_x, of_weight};
  }
};

}  // namespace

at::Tensor product(const at::Tensor &x, const at::Tensor &weight, bool transposed) {
  if (is_ours(x)) return bf16::product(x, weight, transposed);
  return transposed ? x.matmul(weight) : at::linear(x, weight);
}

extern "C" {

// x (rows, in), weight (out, in), bias (out) or null -> (rows, out), with a gradient of all.
char *llada_linear(const at::Tensor *x, const at::Tensor *weight, const at::Tensor *bias, at::Tensor **out) {
  return guarded([&] {
    if (is_ours(*x)) {
      at::Tensor y = Linear::apply(*x, *weight);
      *out = new at::Tensor(bias ? y.add(*bias) : y);
    } else {
      *out = new at::Tensor(bias ? at::linear(*x, *weight, *bias) : at::linear(*x, *weight));
    }
  });
}

// x (rows, in), weight (in, out) -> (rows, out), without a gradient.
char *llada_matmul(const at::Tensor *x, const at::Tensor *weight, at::Tensor **out) {
  return guarded([&] { *out = new at::Tensor(product(*x, *weight, true)); });
}

}  // extern "C"
