import { Alert, Button, Card, CardContent, Table, TableBody, TableCell, TableHead, TableRow } from "@mui/material";
import { type ChangeEvent, useState } from "react";
import { type HttpError, Title, useLogoutIfAccessDenied, useRedirect } from "react-admin";
import { importProducts } from "./actions";
import { useAction } from "./ask";
import type { Schemas } from "./shop";

interface Problem {
  row?: number;
  field: string;
  issue: string;
}
interface Tried {
  table: File;
  key: string; // one table is taken in once, however often the button is pressed
  result?: Schemas["ImportResult"];
  error?: HttpError;
}

/** Products from a table: first it is only checked, and what would happen is shown. */
export function Import() {
  const [tried, setTried] = useState<Tried>();
  const run = useAction();
  const redirect = useRedirect();
  const leave = useLogoutIfAccessDenied();

  const rehearse = async (event: ChangeEvent<HTMLInputElement>) => {
    const table = event.target.files?.[0];
    event.target.value = ""; // the same file may be chosen again, when it was corrected
    if (!table) return;
    const key = crypto.randomUUID();
    try {
      setTried({ table, key, result: await importProducts(table, true) });
    } catch (error) {
      if (!(await leave(error))) setTried({ table, key, error: error as HttpError });
    }
  };
  const takeIn = async ({ table, key }: Tried) => {
    const failed = await run(async () => {
      const { created, updated } = await importProducts(table, false, key);
      return `Taken in: ${created} new, ${updated} changed.`;
    });
    if (!failed) redirect("list", "products");
  };

  return (
    <Card>
      <Title title="Import products" />
      <CardContent>
        <p>
          A table (CSV) as Export gives it: a row with an id changes that product, one without adds one. All of it is
          taken in, or nothing.
        </p>
        <Button variant="contained" component="label">
          Choose a file
          <input type="file" accept=".csv,text/csv" hidden onChange={(event) => void rehearse(event)} />
        </Button>
        {tried?.result && (
          <Alert severity="info" action={<Button onClick={() => void takeIn(tried)}>Take it in</Button>}>
            {tried.table.name}: {tried.result.created} new products, {tried.result.updated} rows that change one.
            Nothing is stored yet.
          </Alert>
        )}
        {tried?.error && (
          <Alert severity="error">
            {tried.table.name}: {tried.error.message}
          </Alert>
        )}
        {tried?.error?.body?.problems?.length > 0 && <Problems problems={tried?.error?.body.problems} />}
      </CardContent>
    </Card>
  );
}

const Problems = ({ problems }: { problems: Problem[] }) => (
  <Table size="small">
    <TableHead>
      <TableRow>
        {["Row", "Column", "What is wrong"].map((title) => (
          <TableCell key={title}>{title}</TableCell>
        ))}
      </TableRow>
    </TableHead>
    <TableBody>
      {problems.map(({ row, field, issue }, number) => (
        <TableRow key={number}>
          <TableCell>{row}</TableCell>
          <TableCell>{field}</TableCell>
          <TableCell>{issue}</TableCell>
        </TableRow>
      ))}
    </TableBody>
  </Table>
);
