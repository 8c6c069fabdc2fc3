/* The first program: a network with two inputs, built by C calls, run on whatever device is best.
 */
#include <stdio.h>
#include <weft/weft.h>

int main(void)
{
    weft_context *ctx = NULL;
    weft_model *m = NULL;
    weft_session *s = NULL;
    weft_array *x[2] = { NULL, NULL }, *y = NULL;
    weft_status st;

    if ((st = weft_context_create(NULL, &ctx))) goto out; /* finds plugins and devices */
    if ((st = weft_model_create(ctx, "combined", &m))) goto out;

    weft_tensor image = weft_input(m, "image", WEFT_F32, WEFT_SHAPE(64, 64, 3));
    weft_tensor tabular = weft_input(m, "tabular", WEFT_F32, WEFT_SHAPE(10));

    weft_tensor a = weft_apply(m, "Conv2D", "filters=32 kernel_size=3 activation=relu", image);
    a = weft_apply(m, "MaxPooling2D", "pool_size=2", a);
    a = weft_apply(m, "Flatten", NULL, a);
    a = weft_apply(m, "Dense", "units=256 activation=relu", a);
    weft_tensor b = weft_apply(m, "Dense", "units=256 activation=relu", tabular);
    weft_tensor c = weft_apply(m, "Concatenate", NULL, a, b);
    c = weft_apply(m, "Dense", "name=score units=1 activation=sigmoid", c);
    weft_output(m, c);
    if ((st = weft_model_finish(m)))
        goto out; /* the first mistake above is reported here, with its layer */
    weft_model_summary(m, stdout);

    if ((st = weft_array_create(&(weft_spec){ WEFT_F32, 4, { 8, 64, 64, 3 } }, &x[0]))) goto out;
    if ((st = weft_array_create(&(weft_spec){ WEFT_F32, 2, { 8, 10 } }, &x[1]))) goto out;
    if ((st = weft_session_create(m, "best", NULL, &s))) goto out; /* or "cpu", or "opencl:0" */
    if ((st = weft_session_run(s, (const weft_array *const *)x, 2, &y, 1))) goto out;
    printf("the first of %lld scores: %g\n", (long long)y->spec.dim[0], ((float *)y->data)[0]);
out:
    if (st) fprintf(stderr, "%s\n", weft_error());
    weft_array_destroy(&y);
    weft_array_destroy(&x[0]);
    weft_array_destroy(&x[1]);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
    return st != WEFT_OK;
}
