// The first row of a table: what its columns are.

/** Figures are aligned to the right. */
type Column = string | { readonly figure: string };

export function TableHead({ columns }: { readonly columns: readonly Column[] }) {
  return (
    <thead>
      <tr>
        {columns.map((column) =>
          typeof column === "string" ? (
            <th key={column} scope="col">
              {column}
            </th>
          ) : (
            <th key={column.figure} scope="col" class="number">
              {column.figure}
            </th>
          ),
        )}
      </tr>
    </thead>
  );
}
