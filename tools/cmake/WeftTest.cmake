# weft_add_test(<label> <name> COMMAND <command>...): a test in a folder of its own, with caches in
# the build tree and nothing of the caller's environment that changes what Weft does.
set(WEFT_TEST_DIR "${PROJECT_BINARY_DIR}/tests/run")
set(WEFT_CACHE_DIR "${PROJECT_BINARY_DIR}/tests/cache")
file(MAKE_DIRECTORY "${WEFT_CACHE_DIR}/pocl" "${WEFT_CACHE_DIR}/weft")

function(weft_add_test label name)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "COMMAND")
  set(test "${label}/${name}")
  file(MAKE_DIRECTORY "${WEFT_TEST_DIR}/${test}")
  add_test(NAME ${test} COMMAND ${arg_COMMAND} WORKING_DIRECTORY "${WEFT_TEST_DIR}/${test}")
  set(supp "${PROJECT_SOURCE_DIR}/tests/support")
  set(environment
    "POCL_CACHE_DIR=set:${WEFT_CACHE_DIR}/pocl"
    "XDG_CACHE_HOME=set:${WEFT_CACHE_DIR}"
    "WEFT_CACHE_DIR=set:${WEFT_CACHE_DIR}/weft"
    "WEFT_PLUGIN_PATH=unset:"
    "ASAN_OPTIONS=set:detect_stack_use_after_return=1:strict_string_checks=1"
    "LSAN_OPTIONS=set:suppressions=${supp}/lsan.supp:print_suppressions=0"
    "TSAN_OPTIONS=set:ignore_noninstrumented_modules=1:suppressions=${supp}/tsan.supp"
    "UBSAN_OPTIONS=set:print_stacktrace=1")
  set_tests_properties(${test} PROPERTIES LABELS ${label} TIMEOUT 900
    ENVIRONMENT_MODIFICATION "${environment}")
endfunction()
