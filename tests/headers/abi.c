/* The plugin ABI 1, pinned: size of every struct, offset of every field, value of every constant,
 * for 64-bit machines. A line that fails means that plugins which are out there would break: append
 * fields and constants instead (rules R1 to R9 in weft/plugin.h), and add lines here. Sizes grow
 * when fields are appended; nothing else here ever changes while the major number is 1. */
#include <stddef.h>
#include <weft/backend.h>
#include <weft/format.h>
#include <weft/gemm.h>
#include <weft/map.h>
#include <weft/plugin.h>

#define VALUE(name, value) _Static_assert((name) == (value), #name " has another value")
#define SIZE(type, size) PINNED(sizeof(type) == (size), #type " has another size")
#define AT(type, field, offset) \
    PINNED(offsetof(type, field) == (offset), #type "." #field " is elsewhere")
#if UINTPTR_MAX > 0xffffffffu
#define PINNED(condition, text) _Static_assert(condition, text)
#else /* another ABI tag, whose layout nobody has pinned */
#define PINNED(condition, text) _Static_assert(1, text)
#endif

VALUE(WEFT_ABI_MAJOR, 1);
VALUE(WEFT_MAX_RANK, 8);
VALUE(WEFT_BATCH, -1);
VALUE(WEFT_ANY, INT64_MIN);
VALUE(WEFT_NONE, UINT32_MAX);
VALUE(WEFT_MAGIC, 0x31544657u);
VALUE(WEFT_OK, 0);
VALUE(WEFT_E_ARG, 1);
VALUE(WEFT_E_SHAPE, 2);
VALUE(WEFT_E_DTYPE, 3);
VALUE(WEFT_E_ATTR, 4);
VALUE(WEFT_E_UNSUPPORTED, 5);
VALUE(WEFT_E_NOMEM, 6);
VALUE(WEFT_E_DEVICE, 7);
VALUE(WEFT_E_ABI, 8);
VALUE(WEFT_E_IO, 9);
VALUE(WEFT_E_NOTFOUND, 10);
VALUE(WEFT_E_UNTRUSTED, 11);
VALUE(WEFT_E_INTERNAL, 12);
VALUE(WEFT_F32, 1);
VALUE(WEFT_F64, 2);
VALUE(WEFT_F16, 3);
VALUE(WEFT_BF16, 4);
VALUE(WEFT_I32, 5);
VALUE(WEFT_I64, 6);
VALUE(WEFT_U8, 7);
VALUE(WEFT_BOOL, 8);
VALUE(WEFT_LOG_DEBUG, 0);
VALUE(WEFT_LOG_INFO, 1);
VALUE(WEFT_LOG_WARN, 2);
VALUE(WEFT_LOG_ERROR, 3);
VALUE(WEFT_INT, 1);
VALUE(WEFT_FLOAT, 2);
VALUE(WEFT_FLAG, 3);
VALUE(WEFT_STRING, 4);
VALUE(WEFT_INTS, 5);
VALUE(WEFT_FLOATS, 6);
VALUE(WEFT_STRINGS, 7);
VALUE(WEFT_LAYER_CONFIG, 8);
VALUE(WEFT_NULLABLE, 1);
VALUE(WEFT_SCAN_REVERSE, 1);
VALUE(WEFT_TRAINABLE, 1);
VALUE(WEFT_STATE, 2);
VALUE(WEFT_TRANSIENT, 4);
VALUE(WEFT_DENSE, 1);
VALUE(WEFT_PITCHED, 2);
VALUE(WEFT_STRIDED, 3);
VALUE(WEFT_KERNEL_IN_PITCHED, 1);
VALUE(WEFT_KERNEL_OUT_PITCHED, 2);
VALUE(WEFT_KERNEL_IN_STRIDED, 4);
VALUE(WEFT_KERNEL_OUT_STRIDED, 8);
VALUE(WEFT_KERNEL_INPLACE, 16);
VALUE(WEFT_KERNEL_EPILOGUE, 32);
VALUE(WEFT_KERNEL_F64, 64);
VALUE(WEFT_KERNEL_ANY_DTYPE, 128);
VALUE(WEFT_KERNEL_INPLACE_EACH, 256);
VALUE(WEFT_OP_EPILOGUE, 1);
VALUE(WEFT_LAYER_PASS_MASK, 1);
VALUE(WEFT_DEV_CPU, 1);
VALUE(WEFT_DEV_GPU, 2);
VALUE(WEFT_DEV_IGPU, 3);
VALUE(WEFT_DEV_ACCEL, 4);
VALUE(WEFT_TENSOR_INPUT, 1);
VALUE(WEFT_TENSOR_CONSTANT, 2);
VALUE(WEFT_TENSOR_RESULT, 3);
VALUE(WEFT_MAP_COMPARE, 1);
VALUE(WEFT_MAP_COSTLY, 2);
VALUE(WEFT_MAP_FLOAT, 4);
VALUE(WEFT_MAP_LOGICAL, 8);
VALUE(WEFT_MAP_INPUT, 1);
VALUE(WEFT_MAP_CONST, 2);
VALUE(WEFT_MAP_CALL, 3);
VALUE(WEFT_MAP_CAST, 4);

SIZE(weft_spec, 72);
AT(weft_spec, dtype, 0);
AT(weft_spec, rank, 4);
AT(weft_spec, dim, 8);

SIZE(weft_ext, 16);
AT(weft_ext, id, 0);
AT(weft_ext, data, 8);

SIZE(weft_host, 80);
AT(weft_host, struct_size, 0);
AT(weft_host, abi_minor, 4);
AT(weft_host, name, 8);
AT(weft_host, version, 16);
AT(weft_host, log, 24);
AT(weft_host, fail, 32);
AT(weft_host, setting, 40);
AT(weft_host, alloc, 48);
AT(weft_host, release, 56);
AT(weft_host, parallel_for, 64);
AT(weft_host, extension, 72);

SIZE(weft_attr, 40);
AT(weft_attr, name, 0);
AT(weft_attr, type, 8);
AT(weft_attr, flags, 12);
AT(weft_attr, def, 16);
AT(weft_attr, range, 24);
AT(weft_attr, doc, 32);

SIZE(weft_scan, 72);
AT(weft_scan, struct_size, 0);
AT(weft_scan, flags, 4);
AT(weft_scan, axis, 8);
AT(weft_scan, n_carry, 12);
AT(weft_scan, n_x, 16);
AT(weft_scan, n_y, 20);
AT(weft_scan, carry0, 24);
AT(weft_scan, xs, 32);
AT(weft_scan, body, 40);
AT(weft_scan, user, 48);
AT(weft_scan, carry_end, 56);
AT(weft_scan, ys, 64);

SIZE(weft_build_api, 208);
AT(weft_build_api, struct_size, 0);
AT(weft_build_api, reserved, 4);
AT(weft_build_api, in, 8);
AT(weft_build_api, n_in, 16);
AT(weft_build_api, out, 24);
AT(weft_build_api, op, 32);
AT(weft_build_api, layer, 40);
AT(weft_build_api, variable, 48);
AT(weft_build_api, assign, 56);
AT(weft_build_api, training, 64);
AT(weft_build_api, random, 72);
AT(weft_build_api, add_loss, 80);
AT(weft_build_api, mask, 88);
AT(weft_build_api, set_mask, 96);
AT(weft_build_api, constant, 104);
AT(weft_build_api, spec, 112);
AT(weft_build_api, attr_i, 120);
AT(weft_build_api, attr_f, 128);
AT(weft_build_api, attr_s, 136);
AT(weft_build_api, attr_v, 144);
AT(weft_build_api, fail, 152);
AT(weft_build_api, scan, 160);
AT(weft_build_api, fwd, 168);
AT(weft_build_api, dout, 176);
AT(weft_build_api, extension, 184);
AT(weft_build_api, attr_fv, 192);
AT(weft_build_api, trainable, 200);

SIZE(struct weft_build, 8);
AT(struct weft_build, api, 0);

SIZE(weft_view, 80);
AT(weft_view, struct_size, 0);
AT(weft_view, dtype, 4);
AT(weft_view, rank, 8);
AT(weft_view, layout, 12);
AT(weft_view, dim, 16);
AT(weft_view, stride, 24);
AT(weft_view, count, 32);
AT(weft_view, outer, 40);
AT(weft_view, inner, 48);
AT(weft_view, pitch, 56);
AT(weft_view, data, 64);
AT(weft_view, offset, 72);

SIZE(weft_kernel_call, 128);
AT(weft_kernel_call, struct_size, 0);
AT(weft_kernel_call, n_in, 4);
AT(weft_kernel_call, n_out, 8);
AT(weft_kernel_call, n_extra, 12);
AT(weft_kernel_call, host, 16);
AT(weft_kernel_call, in, 24);
AT(weft_kernel_call, out, 32);
AT(weft_kernel_call, scratch, 40);
AT(weft_kernel_call, scratch_size, 48);
AT(weft_kernel_call, batch, 56);
AT(weft_kernel_call, path, 64);
AT(weft_kernel_call, attr_i, 72);
AT(weft_kernel_call, attr_f, 80);
AT(weft_kernel_call, attr_s, 88);
AT(weft_kernel_call, attr_v, 96);
AT(weft_kernel_call, device, 104);
AT(weft_kernel_call, param, 112);
AT(weft_kernel_call, fail, 120);

SIZE(weft_cpu_kernel, 32);
AT(weft_cpu_kernel, struct_size, 0);
AT(weft_cpu_kernel, flags, 4);
AT(weft_cpu_kernel, supports, 8);
AT(weft_cpu_kernel, scratch, 16);
AT(weft_cpu_kernel, run, 24);

SIZE(weft_cl_launch, 96);
AT(weft_cl_launch, struct_size, 0);
AT(weft_cl_launch, n_views, 4);
AT(weft_cl_launch, n_ints, 8);
AT(weft_cl_launch, n_scalars, 12);
AT(weft_cl_launch, kernel, 16);
AT(weft_cl_launch, global, 24);
AT(weft_cl_launch, local, 48);
AT(weft_cl_launch, views, 72);
AT(weft_cl_launch, ints, 80);
AT(weft_cl_launch, scalars, 88);

SIZE(weft_gemm, 128);
AT(weft_gemm, struct_size, 0);
AT(weft_gemm, trans_a, 4);
AT(weft_gemm, trans_b, 8);
AT(weft_gemm, reserved, 12);
AT(weft_gemm, m, 16);
AT(weft_gemm, n, 24);
AT(weft_gemm, k, 32);
AT(weft_gemm, lda, 40);
AT(weft_gemm, ldb, 48);
AT(weft_gemm, ldc, 56);
AT(weft_gemm, alpha, 64);
AT(weft_gemm, beta, 72);
AT(weft_gemm, a, 80);
AT(weft_gemm, b, 88);
AT(weft_gemm, c, 96);
AT(weft_gemm, a_offset, 104);
AT(weft_gemm, b_offset, 112);
AT(weft_gemm, c_offset, 120);

SIZE(weft_cl, 48);
AT(weft_cl, struct_size, 0);
AT(weft_cl, reserved, 4);
AT(weft_cl, launch, 8);
AT(weft_cl, gemm, 16);
AT(weft_cl, fill, 24);
AT(weft_cl, copy, 32);
AT(weft_cl, repeat, 40);

SIZE(weft_cl_kernel, 72);
AT(weft_cl_kernel, struct_size, 0);
AT(weft_cl_kernel, flags, 4);
AT(weft_cl_kernel, supports, 8);
AT(weft_cl_kernel, scratch, 16);
AT(weft_cl_kernel, source, 24);
AT(weft_cl_kernel, kernel, 32);
AT(weft_cl_kernel, options, 40);
AT(weft_cl_kernel, params, 48);
AT(weft_cl_kernel, range, 56);
AT(weft_cl_kernel, enqueue, 64);

SIZE(weft_op_class, 88);
AT(weft_op_class, struct_size, 0);
AT(weft_op_class, flags, 4);
AT(weft_op_class, name, 8);
AT(weft_op_class, inputs, 16);
AT(weft_op_class, outputs, 24);
AT(weft_op_class, attrs, 32);
AT(weft_op_class, infer, 40);
AT(weft_op_class, lower, 48);
AT(weft_op_class, gradient, 56);
AT(weft_op_class, kernels, 64);
AT(weft_op_class, cases, 72);
AT(weft_op_class, doc, 80);

SIZE(weft_layer_class, 80);
AT(weft_layer_class, struct_size, 0);
AT(weft_layer_class, flags, 4);
AT(weft_layer_class, name, 8);
AT(weft_layer_class, version, 16);
AT(weft_layer_class, min_version, 20);
AT(weft_layer_class, inputs, 24);
AT(weft_layer_class, outputs, 32);
AT(weft_layer_class, attrs, 40);
AT(weft_layer_class, build, 48);
AT(weft_layer_class, ext, 56);
AT(weft_layer_class, cases, 64);
AT(weft_layer_class, doc, 72);

SIZE(weft_plugin, 112);
AT(weft_plugin, magic, 0);
AT(weft_plugin, struct_size, 4);
AT(weft_plugin, abi_major, 8);
AT(weft_plugin, abi_minor, 12);
AT(weft_plugin, abi_tag, 16);
AT(weft_plugin, name, 24);
AT(weft_plugin, version, 32);
AT(weft_plugin, author, 40);
AT(weft_plugin, license, 48);
AT(weft_plugin, url, 56);
AT(weft_plugin, needs, 64);
AT(weft_plugin, init, 72);
AT(weft_plugin, ops, 80);
AT(weft_plugin, layers, 88);
AT(weft_plugin, backends, 96);
AT(weft_plugin, formats, 104);

SIZE(weft_dev_info, 760);
AT(weft_dev_info, struct_size, 0);
AT(weft_dev_info, kind, 4);
AT(weft_dev_info, name, 8);
AT(weft_dev_info, vendor, 136);
AT(weft_dev_info, driver, 200);
AT(weft_dev_info, platform, 328);
AT(weft_dev_info, mem_total, 456);
AT(weft_dev_info, max_alloc, 464);
AT(weft_dev_info, align, 472);
AT(weft_dev_info, compute_units, 480);
AT(weft_dev_info, has_f16, 484);
AT(weft_dev_info, has_f64, 488);
AT(weft_dev_info, unified, 492);
AT(weft_dev_info, usable, 496);
AT(weft_dev_info, reserved, 500);
AT(weft_dev_info, why, 504);

SIZE(weft_operand, 64);
AT(weft_operand, struct_size, 0);
AT(weft_operand, dtype, 4);
AT(weft_operand, rank, 8);
AT(weft_operand, layout, 12);
AT(weft_operand, dim, 16);
AT(weft_operand, stride, 24);
AT(weft_operand, outer, 32);
AT(weft_operand, inner, 40);
AT(weft_operand, pitch, 48);
AT(weft_operand, absent, 56);
AT(weft_operand, reserved, 60);

SIZE(weft_step, 88);
AT(weft_step, struct_size, 0);
AT(weft_step, n_in, 4);
AT(weft_step, n_out, 8);
AT(weft_step, n_extra, 12);
AT(weft_step, op, 16);
AT(weft_step, attrs, 24);
AT(weft_step, path, 32);
AT(weft_step, in, 40);
AT(weft_step, out, 48);
AT(weft_step, attr_i, 56);
AT(weft_step, attr_f, 64);
AT(weft_step, attr_s, 72);
AT(weft_step, attr_v, 80);

SIZE(weft_bind, 16);
AT(weft_bind, buf, 0);
AT(weft_bind, offset, 8);

SIZE(weft_run, 40);
AT(weft_run, struct_size, 0);
AT(weft_run, n_binds, 4);
AT(weft_run, batch, 8);
AT(weft_run, binds, 16);
AT(weft_run, generation, 24);
AT(weft_run, step_ns, 32);

SIZE(weft_support, 264);
AT(weft_support, struct_size, 0);
AT(weft_support, flags, 4);
AT(weft_support, variant, 8);
AT(weft_support, why, 72);

SIZE(weft_backend, 168);
AT(weft_backend, struct_size, 0);
AT(weft_backend, flags, 4);
AT(weft_backend, id, 8);
AT(weft_backend, kernel_ids, 16);
AT(weft_backend, doc, 24);
AT(weft_backend, probe, 32);
AT(weft_backend, info, 40);
AT(weft_backend, open, 48);
AT(weft_backend, close, 56);
AT(weft_backend, alloc, 64);
AT(weft_backend, release, 72);
AT(weft_backend, write, 80);
AT(weft_backend, read, 88);
AT(weft_backend, wrap, 96);
AT(weft_backend, finish, 104);
AT(weft_backend, supports, 112);
AT(weft_backend, compile, 120);
AT(weft_backend, run, 128);
AT(weft_backend, release_exe, 136);
AT(weft_backend, builds, 144);
AT(weft_backend, extension, 152);
AT(weft_backend, services, 160);

SIZE(weft_tensor_info, 112);
AT(weft_tensor_info, struct_size, 0);
AT(weft_tensor_info, kind, 4);
AT(weft_tensor_info, name, 8);
AT(weft_tensor_info, data, 16);
AT(weft_tensor_info, spec, 24);
AT(weft_tensor_info, layer, 96);
AT(weft_tensor_info, call, 100);
AT(weft_tensor_info, index, 104);
AT(weft_tensor_info, reserved, 108);

SIZE(weft_call_info, 32);
AT(weft_call_info, struct_size, 0);
AT(weft_call_info, n_in, 4);
AT(weft_call_info, n_out, 8);
AT(weft_call_info, first, 12);
AT(weft_call_info, in, 16);
AT(weft_call_info, attrs, 24);

SIZE(weft_model_api, 272);
AT(weft_model_api, struct_size, 0);
AT(weft_model_api, reserved, 4);
AT(weft_model_api, host, 8);
AT(weft_model_api, submodel, 16);
AT(weft_model_api, input, 24);
AT(weft_model_api, layer_class, 32);
AT(weft_model_api, layer, 40);
AT(weft_model_api, model_layer, 48);
AT(weft_model_api, call, 56);
AT(weft_model_api, result, 64);
AT(weft_model_api, output, 72);
AT(weft_model_api, missing, 80);
AT(weft_model_api, finish, 88);
AT(weft_model_api, fail, 96);
AT(weft_model_api, n_layers, 104);
AT(weft_model_api, layer_info, 112);
AT(weft_model_api, n_variables, 120);
AT(weft_model_api, variable_spec, 128);
AT(weft_model_api, variable_get, 136);
AT(weft_model_api, variable_set, 144);
AT(weft_model_api, extension, 152);
AT(weft_model_api, rename, 160);
AT(weft_model_api, set_kind, 168);
AT(weft_model_api, constant, 176);
AT(weft_model_api, set_note, 184);
AT(weft_model_api, name, 192);
AT(weft_model_api, kind, 200);
AT(weft_model_api, note, 208);
AT(weft_model_api, n_inputs, 216);
AT(weft_model_api, input_at, 224);
AT(weft_model_api, n_outputs, 232);
AT(weft_model_api, output_at, 240);
AT(weft_model_api, tensor_info, 248);
AT(weft_model_api, call_info, 256);
AT(weft_model_api, order, 264);

SIZE(weft_format, 56);
AT(weft_format, struct_size, 0);
AT(weft_format, flags, 4);
AT(weft_format, name, 8);
AT(weft_format, extensions, 16);
AT(weft_format, doc, 24);
AT(weft_format, probe, 32);
AT(weft_format, read, 40);
AT(weft_format, write, 48);

SIZE(weft_map_fn, 80);
AT(weft_map_fn, name, 0);
AT(weft_map_fn, infix, 8);
AT(weft_map_fn, arity, 16);
AT(weft_map_fn, flags, 20);
AT(weft_map_fn, opencl, 24);
AT(weft_map_fn, f32, 32);
AT(weft_map_fn, f64, 40);
AT(weft_map_fn, i64, 48);
AT(weft_map_fn, derivative, 56);

SIZE(weft_map_ins, 40);
AT(weft_map_ins, kind, 0);
AT(weft_map_ins, type, 4);
AT(weft_map_ins, dtype, 8);
AT(weft_map_ins, arg, 12);
AT(weft_map_ins, value, 24);
AT(weft_map_ins, fn, 32);

SIZE(weft_map_program, 24);
AT(weft_map_program, struct_size, 0);
AT(weft_map_program, n_ins, 4);
AT(weft_map_program, n_inputs, 8);
AT(weft_map_program, result, 12);
AT(weft_map_program, ins, 16);

SIZE(weft_map_api, 32);
AT(weft_map_api, struct_size, 0);
AT(weft_map_api, reserved, 4);
AT(weft_map_api, parse, 8);
AT(weft_map_api, release, 16);
AT(weft_map_api, eval, 24);

SIZE(weft_product, 104);
AT(weft_product, struct_size, 0);
AT(weft_product, dtype, 4);
AT(weft_product, m, 8);
AT(weft_product, n, 16);
AT(weft_product, k, 24);
AT(weft_product, a, 32);
AT(weft_product, b, 40);
AT(weft_product, a_row, 48);
AT(weft_product, a_col, 56);
AT(weft_product, b_row, 64);
AT(weft_product, b_col, 72);
AT(weft_product, c, 80);
AT(weft_product, c_row, 88);
AT(weft_product, accumulate, 96);
AT(weft_product, reserved, 100);

SIZE(weft_gemm_api, 16);
AT(weft_gemm_api, struct_size, 0);
AT(weft_gemm_api, reserved, 4);
AT(weft_gemm_api, run, 8);
