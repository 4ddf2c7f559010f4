import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  base: "./", // the built files work in any folder of any server
  server: { port: 5173, strictPort: true }, // the shop allows this origin by default (CORS_ORIGINS)
  build: { chunkSizeWarningLimit: 2000 },
});
