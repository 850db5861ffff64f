/** ESLint for every script that we wrote: run it from the root of the project. */

import js from "@eslint/js";
import globals from "globals";

import sentences from "./sentences.js";

export default [
  { ignores: ["**/node_modules/", "**/.next*/", "**/.venv*/", "**/.installed/", "web/parts/vendor/"] },
  {
    ...js.configs.recommended,
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      ...js.configs.recommended.rules,
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-shadow": "error",
      "no-unused-expressions": "error",
      "no-unused-vars": ["error", { ignoreRestSiblings: true, varsIgnorePattern: "^_$" }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  { files: ["web/**/*.js"], languageOptions: { globals: globals.browser } },
  {
    files: ["web/**/*.js"],
    ignores: ["web/parts/words/**"],
    plugins: { house: { rules: { sentences } } },
    rules: { "house/sentences": "error" },
  },
  {
    files: ["tests/**/*.js", "tests/**/*.mjs"],
    languageOptions: { globals: { ...globals.node, ...globals.browser }, parserOptions: { ecmaFeatures: { jsx: true } } },
  },
];
