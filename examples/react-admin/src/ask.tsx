// Buttons that do something: some ask first, in a dialog. Each says how it went.

import { Dialog, DialogActions, DialogContent, DialogTitle } from "@mui/material";
import { type ReactNode, useState } from "react";
import { Button, Form, type HttpError, SaveButton, useLogoutIfAccessDenied, useNotify, useRefresh } from "react-admin";

/** Return what does something and tells how it went. It gives undefined, or the problems by field. */
export function useAction() {
  const notify = useNotify();
  const refresh = useRefresh();
  const leave = useLogoutIfAccessDenied();
  return async (act: () => Promise<string>): Promise<Record<string, string> | undefined> => {
    try {
      notify(await act(), { type: "success" });
      refresh();
      return undefined;
    } catch (caught) {
      const error = caught as HttpError;
      if (await leave(error)) return undefined;
      const errors: Record<string, string> = error.body?.errors ?? {};
      notify(Object.values(errors).join(" ") || error.message, { type: "error" });
      if (error.status === 409) refresh(); // it is not what is shown any more
      return errors;
    }
  };
}

interface Ask {
  label: string;
  title: string;
  act: (values: any, key: string) => Promise<string>;
  defaults?: object;
  children?: ReactNode;
}

/** A button with a dialog. Each time that it opens is one wish: however often it is sent, it is done once. */
export function AskButton({ label, title, act, defaults, children }: Ask) {
  const [key, setKey] = useState<string>();
  const run = useAction();
  const submit = async (values: object) => {
    const errors = await run(() => act(values, key!));
    if (!errors) setKey(undefined);
    return errors;
  };
  return (
    <>
      <Button label={label} onClick={() => setKey(crypto.randomUUID())} />
      <Dialog open={key !== undefined} onClose={() => setKey(undefined)}>
        <DialogTitle>{title}</DialogTitle>
        <Form onSubmit={submit} defaultValues={defaults}>
          {children && <DialogContent>{children}</DialogContent>}
          <DialogActions>
            <Button label="Back" onClick={() => setKey(undefined)} />
            <SaveButton label={label} alwaysEnable icon={<></>} />
          </DialogActions>
        </Form>
      </Dialog>
    </>
  );
}

/** A button that downloads a table. */
export function DownloadButton({ label, file, ask }: { label: string; file: string; ask: () => Promise<Blob> }) {
  const run = useAction();
  const download = async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await ask());
    link.download = file;
    link.click();
    URL.revokeObjectURL(link.href);
    return `${file} is among your downloads.`;
  };
  return <Button label={label} onClick={() => void run(download)} />;
}
